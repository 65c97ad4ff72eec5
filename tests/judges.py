"""Validators and readers that no one here wrote, each skipped, saying so, where it is not installed."""

import gzip
import json
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

SKIPS = {
    "dciodvfy": "Debian package dicom3tools",
    "dsrdump": "Debian package dcmtk",
    "segimage2itkimage": "PyPI package dcmqi",
    "tid1500reader": "PyPI package dcmqi",
}


def dciodvfy_errors(path):
    """The errors that dicom3tools' dciodvfy finds in a file."""
    done = _run("dciodvfy", "-new", path)
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) > 0, "dciodvfy names at least the IOD"
    return [line for line in lines if line.startswith(("Error", "Abort"))]


def dsrdump(path):
    """The content tree of an SR as dcmtk prints it, whole texts; fails when dcmtk cannot read it."""
    done = _run("dsrdump", "+Pl", path)
    assert done.returncode == 0, done.stderr
    return done.stdout


def segments_of(path, folder):
    """What dcmqi reads from a SEG: a list, by segment number, of (voxels bool (i, j, k), 4x4 matrix to LPS mm)."""
    folder.mkdir(parents=True, exist_ok=True)
    done = _run("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd")
    assert done.returncode == 0, done.stdout + done.stderr
    return [read_nrrd(file) for file in sorted(folder.glob("*.nrrd"), key=lambda file: int(file.stem))]


def tid1500(path, folder):
    """What dcmqi reads from a TID 1500 SR, as the dict of its JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{path.stem}.json"
    done = _run("tid1500reader", "--inputDICOM", path, "--outputMetadata", place)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(place.read_text("utf-8"))


def read_nrrd(path):
    """(voxels bool (i, j, k), 4x4 matrix index -> LPS mm) of an NRRD as ITK writes it."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode("ascii").splitlines() if ": " in line)
    assert fields["space"] == "left-posterior-superior"
    raw = gzip.decompress(body) if fields["encoding"] == "gzip" else body
    kind = {"short": "<i2", "unsigned char": "u1", "unsigned short": "<u2"}[fields["type"]]
    size = [int(n) for n in fields["sizes"].split()]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([_vector(text) for text in fields["space directions"].split(" ")]).T
    matrix[:3, 3] = _vector(fields["space origin"])
    return np.frombuffer(raw, kind).reshape(size, order="F") > 0, matrix


def _vector(text):
    return [float(v) for v in text.strip("()").split(",")]


def _run(tool, *arguments):
    return subprocess.run([_find(tool), *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120)


def _find(tool):
    spec = find_spec("dcmqi")
    beside = Path(spec.origin).parent / "bin" / tool if spec and spec.origin else None
    if beside is not None and beside.is_file():
        return str(beside)
    found = shutil.which(tool)
    if found is None:
        pytest.skip(f"{tool} is not installed ({SKIPS[tool]})")
    return found
