"""What a pipeline needs, gives and is for: the card that the hospital's side reads without importing the model."""

import json
import tomllib
from dataclasses import asdict, dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pipelines.terms.code import Code
from pipelines.terms.shelf import get_shelf


@dataclass(frozen=True, slots=True)
class Requires:
    """The series that a pipeline can read. Lengths in mm, times in ms; None asks for nothing.

    modality: DICOM Modality; "*" reads any, and images that were not acquired as a stack too: localizers, projections,
        captures, and, with min_planes = 1, a single plane.
    spacing_mm: smallest and largest distance between planes.
    pixel_mm: largest in-plane pixel spacing.
    extent_mm: least length of the stack along its normal.
    orientations: of "axial", "coronal", "sagittal"; empty accepts any, oblique too.
    echo_time_ms: largest Echo Time (a coarse test for T1 weighting).
    body_parts: words of which one must be within Body Part Examined where that names a region at all ("CHEST" is within
        "CHESTABDPELVIS"); many scanners leave it empty or fill it with anything.
    views: View Positions that are read, where the images have one.
    prior: an earlier study of the patient, too.
    min_age_years: least age of the patient where the images say it; many are silent.
    max_tilt_degrees, max_uneven_mm: gantry tilt and uneven spacing that are resampled away before the pipeline runs.
    """

    modality: str
    min_planes: int = 3
    spacing_mm: tuple[float, float] = (0.0, 10.0)
    pixel_mm: float | None = None
    extent_mm: float | None = None
    orientations: tuple[str, ...] = ()
    echo_time_ms: float | None = None
    body_parts: tuple[str, ...] = ()
    views: tuple[str, ...] = ()
    max_tilt_degrees: float = 0.0
    max_uneven_mm: float = 0.0
    prior: bool = False
    min_age_years: int | None = None

    @property
    def reads_anything(self) -> bool:
        """True when no kind of image is the wrong one."""
        return self.modality == "*"

    def in_words(self) -> str:
        """All of it that keeps a series out, as "axial CT of CHEST or LUNG, at least 20 planes, 0 to 3 mm apart"."""
        low, high = self.spacing_mm
        planes = "1 plane" if self.min_planes == 1 else f"{self.min_planes} planes"
        kind = "any modality" if self.reads_anything else self.modality
        kind = f"{' or '.join(self.orientations)} {kind}".strip()
        words = [f"{kind} of {' or '.join(self.body_parts)}" if self.body_parts else kind, f"at least {planes}"]
        words += [f"{low:g} to {high:g} mm apart"] if not self.reads_anything else []
        words += [f"pixels up to {self.pixel_mm:g} mm"] if self.pixel_mm is not None else []
        words += [f"at least {self.extent_mm:g} mm long"] if self.extent_mm is not None else []
        words += [f"echo time up to {self.echo_time_ms:g} ms"] if self.echo_time_ms is not None else []
        words += [f"view {' or '.join(self.views)}"] if self.views else []
        words += [f"patients of {self.min_age_years} years or more"] if self.min_age_years is not None else []
        words += ["with an earlier study"] if self.prior else []
        return ", ".join(words)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A pipeline's identity. name, version and weights_sha256 together are the algorithm: change one, and
    every derived uid (Device UID, SOP Instance UIDs) changes with it.

    lacks: outputs of a bundle that nobody has given a coded concept yet; until then its jobs are refused.
    explains: the ways in which it can say why it answers as it does, or how steadily (docs/explanations.md).
    """

    name: str
    version: str
    title: str
    manufacturer: str
    requires: Requires
    gives: tuple[Code, ...]
    weights_sha256: str
    intended_use: str
    not_for: str
    procedure: Code
    lane: str = "gpu"
    time_limit_s: int = 900
    lacks: tuple[str, ...] = ()
    explains: tuple[str, ...] = ()


def read_manifest(path: Path) -> Manifest:
    """The manifest at `path`; raises ValueError that names the file and the key at fault."""
    try:
        data: dict[str, Any] = tomllib.loads(path.read_text("utf-8"))
        requires = dict(data.pop("requires"))
        if "spacing_mm" in requires:
            low, high = requires["spacing_mm"]
            requires["spacing_mm"] = (float(low), float(high))
        for key in ("orientations", "body_parts", "views"):
            requires[key] = tuple(requires.get(key, ()))
        data["gives"] = tuple(Code.parse(text) for text in data["gives"])
        data["procedure"] = Code.parse(data["procedure"])
        for key in ("lacks", "explains"):
            data[key] = tuple(data.get(key, ()))
        return Manifest(requires=Requires(**requires), **data)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def write_manifest(manifest: Manifest, path: Path) -> None:
    """`manifest` at `path`, as read_manifest reads it."""
    data = asdict(manifest) | {
        "gives": [_say(code) for code in manifest.gives],
        "procedure": _say(manifest.procedure),
    }
    requires = data.pop("requires")
    lines = [f"{key} = {_to_toml(value)}" for key, value in data.items()]
    lines += ["", "[requires]", *(f"{key} = {_to_toml(value)}" for key, value in requires.items() if value is not None)]
    path.write_text("\n".join(lines) + "\n", "utf-8")


def _say(code: Code) -> str:
    return f"{code.value} {code.scheme} {code.meaning}"


def _to_toml(value: Any) -> str:
    """Text, numbers and lists of them are written alike in TOML and JSON."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def find_manifests() -> dict[str, Path]:
    """Name -> manifest.toml of every installed pipeline: bundles on the shelf (the highest version of each name), ours
    beside this package, others by the entry point group `wetread.pipelines` (value: the package that holds
    manifest.toml). Imports no pipeline. A bundle never hides another pipeline of the same name."""
    home = Path(__file__).resolve().parent.parent
    found = {_name_bundle(path): path for path in get_shelf().find_manifests()}
    found |= {path.parent.name.replace("_", "-"): path for path in sorted(home.glob("*/manifest.toml"))}
    for entry in entry_points(group="wetread.pipelines"):
        spec = find_spec(entry.module)
        for place in (spec.submodule_search_locations or ()) if spec else ():
            path = Path(place) / "manifest.toml"
            if path.is_file():
                found[entry.name] = path
    return found


def _name_bundle(path: Path) -> str:
    """ "spleen" of .../spleen-0.5.9/manifest.toml."""
    return path.parent.name.rpartition("-")[0]


def get_manifest(name: str) -> Manifest:
    """The manifest of the pipeline `name`; raises KeyError that lists the installed ones."""
    found = find_manifests()
    if name not in found:
        raise KeyError(f"no pipeline {name!r} is installed; there are: {', '.join(sorted(found)) or 'none'}")
    manifest = read_manifest(found[name])
    if manifest.name != name:
        raise ValueError(f"{found[name]}: name is {manifest.name!r}, its folder says {name!r}")
    return manifest
