"""`wetread pipelines new NAME`: a pipeline of one's own that runs at once: manifest, pipeline, test.

The folder also holds what an installation would write, `*.dist-info`: named in PYTHONPATH, it is installed without a
build and without the internet that a build may ask for.
"""

import re
from pathlib import Path

from node.errors import PipelineRefused

FILES = {
    "pyproject.toml": """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "NAME"
version = "0.1.0"
dependencies = ["wetread"]

[project.entry-points."wetread.pipelines"]
NAME = "PACKAGE"

[tool.hatch.build.targets.wheel]
packages = ["PACKAGE"]

[tool.pytest.ini_options]
pythonpath = ["."]
""",
    "PACKAGE-0.1.0.dist-info/METADATA": """\
Metadata-Version: 2.1
Name: NAME
Version: 0.1.0
""",
    "PACKAGE-0.1.0.dist-info/entry_points.txt": """\
[wetread.pipelines]
NAME = PACKAGE
""",
    "PACKAGE/__init__.py": '"""The pipeline NAME."""\n',
    "PACKAGE/manifest.toml": """\
name = "NAME"
version = "0.1.0"
title = "Everything brighter than 300 HU"
manufacturer = "us"
# sha256 of the file of weights; this one is of no bytes, since there are no weights
weights_sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
intended_use = "A beginning to build on."
not_for = "Not a medical device. Anything but trying out."
gives = ["272673000 SCT Bone"]
procedure = "25045-6 LN CT unspecified body region"
lane = "cpu"

[requires]
modality = "CT"
""",
    "PACKAGE/pipeline.py": '''\
"""NAME: everything brighter than 300 HU is called bone. Put your model in its place."""

from pathlib import Path

from pipelines.errors import UnsuitableVolume
from pipelines.pipeline import Progress
from pipelines.terms import Code, Finding, Measurement, Result, Segment, Volume, read_manifest

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
BONE = Code("272673000", "SCT", "Bone")
VOLUME = Code("118565006", "SCT", "Volume")
MILLILITER = Code("mL", "UCUM", "milliliter")


class Model:
    """What is kept in memory between studies."""

    def run(self, volume: Volume, progress: Progress) -> Result:
        """volume.voxels: float32 (k, j, i), CT in HU. Masks lie on the same grid."""
        if volume.modality != "CT":
            raise UnsuitableVolume(f"bone is read from CT, not from {volume.modality}")
        mask = volume.voxels > 300.0
        progress(1.0, "done")
        if not mask.any():
            return Result((), (Finding("bone", BONE, absent=True),))
        size = Measurement(VOLUME, float(mask.sum()) * volume.voxel_ml, MILLILITER)
        segment = Segment("bone", "Bone", ANATOMY, BONE, mask)
        return Result((segment,), (Finding("bone", BONE, segment_key="bone", measurements=(size,)),))


class Pipeline:
    """Found through the entry point in pyproject.toml."""

    manifest = read_manifest(Path(__file__).with_name("manifest.toml"))

    def load(self, device: str) -> Model:
        """Read weights here, and check them against manifest.weights_sha256 (pipelines.weights.load_weights)."""
        return Model()


pipeline = Pipeline()
''',
    "tests/test_PACKAGE.py": '''\
"""The pipeline on a volume made for it."""

import numpy as np
from PACKAGE.pipeline import pipeline
from pipelines.terms import Volume


def make_volume(value):
    voxels = np.full((6, 8, 10), -50.0, np.float32)
    voxels[2:4, 2:6, 3:7] = value
    affine = np.array([[0, 0, 0.5, 0], [0, 0.5, 0, 0], [2.0, 0, 0, 0], [0, 0, 0, 1]])
    return Volume(voxels, affine, "1.2.3", "CT")


def test_a_bright_block_is_found_with_its_volume():
    (finding,) = pipeline.load("cpu").run(make_volume(900.0), lambda *_: None).findings
    assert finding.measurements[0].value == 2 * 4 * 4 * 2.0 * 0.5 * 0.5 / 1000.0


def test_nothing_bright_is_absent():
    (finding,) = pipeline.load("cpu").run(make_volume(0.0), lambda *_: None).findings
    assert finding.absent
''',
}


def write_scaffold(name: str, folder: Path) -> list[Path]:
    """The files of a new pipeline `name` below the new folder `folder`. Raises PipelineRefused."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise PipelineRefused(f"{name!r} is no name for a pipeline: small letters, digits and hyphens")
    if folder.exists():
        raise PipelineRefused(f"{folder} is there already")
    written = []
    for place, text in FILES.items():
        path = folder / _fill(place, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_fill(text, name), "utf-8")
        written.append(path)
    return written


def _fill(text: str, name: str) -> str:
    return text.replace("PACKAGE", name.replace("-", "_")).replace("NAME", name)
