"""dcmqi: what ITK and 3D Slicer would read from a Segmentation or a TID 1500 report."""

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.judges.programs import run

if TYPE_CHECKING:
    from tests.corpus import Exhibit

CENTROID_MM = 0.01


def segments_of(path: Path, folder: Path) -> list[tuple[Any, Any]]:
    """What dcmqi reads from a SEG: a list, by segment number, of (voxels bool (i, j, k), 4x4 matrix to LPS mm)."""
    return [(labels > 0, matrix) for labels, matrix in _images_of(path, folder)]


def labels_of(path: Path, folder: Path) -> list[tuple[Any, Any]]:
    """The same of a label map, which dcmqi reads as one image of segment numbers."""
    ((labels, matrix),) = _images_of(path, folder)
    return [(labels == number, matrix) for number in range(1, int(labels.max()) + 1)]


def _images_of(path: Path, folder: Path) -> list[tuple[Any, Any]]:
    folder.mkdir(parents=True, exist_ok=True)
    done = run("segimage2itkimage", "--inputDICOM", path, "--outputDirectory", folder, "-t", "nrrd")
    assert done.returncode == 0, f"exit status {done.returncode}: " + (done.stdout + done.stderr)[-300:]
    return [read_labels(file) for file in sorted(folder.glob("*.nrrd"), key=lambda file: int(file.stem))]


def tid1500(path: Path, folder: Path) -> dict[str, Any]:
    """What dcmqi reads from a TID 1500 SR, as the dict of its JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{path.stem}.json"
    done = run("tid1500reader", "--inputDICOM", path, "--outputMetadata", place)
    assert done.returncode == 0, done.stdout + done.stderr
    read: dict[str, Any] = json.loads(place.read_text("utf-8"))
    return read


def segmentation_errors(exhibit: "Exhibit") -> list[str]:
    """Where the voxels that dcmqi reads are not those of the result: their number exactly, their centroid in mm."""
    assert exhibit.case.result is not None
    segments = [segment for segment in exhibit.case.result.segments if segment.mask.any()]
    try:
        with TemporaryDirectory() as folder:
            look = labels_of if exhibit.kind == "label map" else segments_of
            read = look(exhibit.path, Path(folder))
    except (AssertionError, OSError, ValueError) as error:
        return [str(error)]
    if len(read) != len(segments):
        return [f"{len(read)} segments instead of {len(segments)}"]
    errors = []
    for segment, (voxels, matrix) in zip(segments, read, strict=True):
        found, wanted = int(voxels.sum()), int(segment.mask.sum())
        if found != wanted:
            errors.append(f"{segment.key}: {found} voxels instead of {wanted}")
            continue
        off = centroid(voxels, matrix) - centroid(segment.mask, exhibit.case.stack.affine)
        if (distance := float(np.linalg.norm(off))) > CENTROID_MM:
            errors.append(f"{segment.key}: centroid is {distance:.3f} mm away")
    return errors


def report_errors(exhibit: "Exhibit") -> list[str]:
    """Measurement groups that dcmqi does not read, or reads without their numbers."""
    assert exhibit.case.result is not None
    try:
        with TemporaryDirectory() as folder:
            groups = tid1500(exhibit.path, Path(folder))["Measurements"]
    except (AssertionError, KeyError, OSError, ValueError) as error:
        return [f"{type(error).__name__}: {str(error)[-300:]}"]
    found = [float(item["value"]) for group in groups for item in group.get("measurementItems", [])]
    wanted = [number.value for finding in exhibit.case.result.findings for number in finding.measurements]
    lost = [value for value in wanted if not np.isclose(found, value, rtol=1e-6).any()] if found else wanted
    tracked = {group.get("TrackingUniqueIdentifier") for group in groups if "ReferencedSegment" in group}
    segments = {segment.key for segment in exhibit.case.result.segments if not segment.is_empty}
    spoken = [finding.key for finding in exhibit.case.result.findings if finding.segment_key in segments]
    return [f"{value} is not among the numbers read" for value in lost] + (
        [f"{len(tracked)} groups with a segment instead of {len(spoken)}"] if len(tracked) != len(spoken) else []
    )


def centroid(mask: Any, affine: Any) -> Any:
    """The mean place in mm of the voxels of `mask`, whose indices `affine` maps."""
    places = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return places.mean(axis=0)


def read_nrrd(path: Path) -> tuple[Any, Any]:
    """(voxels bool (i, j, k), 4x4 matrix index -> LPS mm) of an NRRD as ITK writes it."""
    labels, matrix = read_labels(path)
    return labels > 0, matrix


def read_labels(path: Path) -> tuple[Any, Any]:
    """The same with the voxels' own numbers."""
    head, _, body = path.read_bytes().partition(b"\n\n")
    fields = dict(line.split(": ", 1) for line in head.decode("ascii").splitlines() if ": " in line)
    assert fields["space"] == "left-posterior-superior"
    raw = gzip.decompress(body) if fields["encoding"] == "gzip" else body
    kind = {"short": "<i2", "unsigned char": "u1", "unsigned short": "<u2"}[fields["type"]]
    size = [int(n) for n in fields["sizes"].split()]
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([_vector(text) for text in fields["space directions"].split(" ")]).T
    matrix[:3, 3] = _vector(fields["space origin"])
    return np.frombuffer(raw, kind).reshape(size, order="F"), matrix


def _vector(text: str) -> list[float]:
    return [float(v) for v in text.strip("()").split(",")]
