"""Stacks and results made for a test, to go with tests/series.py."""

from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np

from node.dicom.authorship import Authorship
from node.dicom.stack import Stack
from pipelines.terms import Code, Finding, Manifest, Measurement, Note, Requires, Result, Segment
from tests.series import make_series

LUNG = Code("39607008", "SCT", "Lung")
NODULE = Code("27925004", "SCT", "Nodule")
RIGHT = Code("24028007", "SCT", "Right")
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
LESION = Code("49755003", "SCT", "Morphologically Abnormal Structure")
VOLUME = Code("118565006", "SCT", "Volume")
ATTENUATION = Code("112031", "DCM", "Attenuation Coefficient")
MEAN = Code("373098007", "SCT", "Mean")
MILLILITER = Code("mL", "UCUM", "milliliter")
HOUNSFIELD = Code("[hnsf'U]", "UCUM", "Hounsfield unit")


def make_author(job_id="job-1", **changes):
    """An Authorship; `changes` override attributes of its manifest."""
    card = {
        "name": "lung-nodule",
        "version": "1.2.0",
        "title": "Lung nodules",
        "manufacturer": "Testmaker Models",
        "requires": Requires(modality="CT"),
        "gives": (NODULE,),
        "weights_sha256": "ab" * 32,
        "intended_use": "Marks lung nodules for a reader",
        "not_for": "primary diagnosis",
        "procedure": Code("25045-6", "LN", "CT unspecified body region"),
    }
    return Authorship(job_id, Manifest(**{**card, **changes}), datetime(2024, 1, 2, 4, 5, 6, tzinfo=UTC), "WETREAD")


def make_stack(slices):
    """The slices, in the order given, as a Stack of single-frame images."""
    positions = np.array([[float(v) for v in ds.ImagePositionPatient] for ds in slices])
    cosines = np.array([float(v) for v in slices[0].ImageOrientationPatient])
    row, column = (axis / np.linalg.norm(axis) for axis in (cosines[:3], cosines[3:]))
    spacing = [float(v) for v in slices[0].PixelSpacing]
    step = (positions[-1] - positions[0]) / (len(slices) - 1)
    affine = _affine(step, column * spacing[0], row * spacing[1], positions[0])
    frames = tuple((k, 1) for k in range(len(slices)))
    return _stack(slices, frames, (len(slices), slices[0].Rows, slices[0].Columns), affine)


def make_frame_stack(header, numbers):
    """The frames `numbers` (from 1, in that order) of a multi-frame `header` with shared geometry as a Stack."""
    shared = header.SharedFunctionalGroupsSequence[0]
    groups = [header.PerFrameFunctionalGroupsSequence[number - 1] for number in numbers]
    positions = np.array([[float(v) for v in g.PlanePositionSequence[0].ImagePositionPatient] for g in groups])
    holder = shared if "PlaneOrientationSequence" in shared else groups[0]
    cosines = np.array([float(v) for v in holder.PlaneOrientationSequence[0].ImageOrientationPatient])
    holder = shared if "PixelMeasuresSequence" in shared else groups[0]
    spacing = [float(v) for v in holder.PixelMeasuresSequence[0].PixelSpacing]
    step = (positions[-1] - positions[0]) / (len(numbers) - 1)
    affine = _affine(step, cosines[3:] * spacing[0], cosines[:3] * spacing[1], positions[0])
    frames = tuple((0, number) for number in numbers)
    return _stack([header], frames, (len(numbers), header.Rows, header.Columns), affine)


def _affine(plane, row, column, origin):
    affine = np.eye(4)
    affine[:3] = np.stack([plane, row, column, origin], axis=1)
    return affine


def _stack(headers, frames, shape, affine):
    paths = tuple(Path(f"{k}.dcm") for k in range(len(headers)))
    return Stack(tuple(headers), paths, frames, shape, affine, "oblique")


def ellipsoid(shape, center=(0.5, 0.5, 0.5), radius=(0.4, 0.3, 0.3)):
    """A bool mask; center and radius are shares of `shape`. Asymmetric on purpose: a corner is cut off."""
    axes = np.ogrid[: shape[0], : shape[1], : shape[2]]
    squares = [((axis / n - c) / r) ** 2 for axis, n, c, r in zip(axes, shape, center, radius, strict=True)]
    mask = squares[0] + squares[1] + squares[2] <= 1
    mask[:, : int(shape[1] * center[1]), : int(shape[2] * center[2])] = False
    return mask


def make_segment(mask, key="nodule-1", **changes):
    card = {"label": key, "category": LESION, "kind": NODULE, "site": LUNG, "laterality": RIGHT}
    return Segment(key=key, mask=mask, **{**card, **changes})


def make_finding(key="nodule-1", volume_ml=1.25):
    return Finding(
        key, NODULE, site=LUNG, laterality=RIGHT, segment_key=key,
        measurements=(
            Measurement(VOLUME, volume_ml, MILLILITER),
            Measurement(ATTENUATION, -321.5, HOUNSFIELD, derivation=MEAN),
        ),
    )  # fmt: skip


def make_result(shape, count=1):
    """`count` overlapping nodules, each with a finding, and one note."""
    keys = [f"nodule-{n}" for n in range(1, count + 1)]
    centers = [(0.5, 0.4 + 0.05 * n, 0.5) for n in range(count)]
    segments = [make_segment(ellipsoid(shape, center), key) for key, center in zip(keys, centers, strict=True)]
    findings = [make_finding(key, 1.0 + n) for n, key in enumerate(keys)]
    return Result(tuple(segments), tuple(findings), notes=(Note("The lungs are cut at the top"),))


def make_empty_result():
    """Looked for nodules and found none."""
    return Result((), (Finding("nodule", NODULE, site=LUNG, absent=True),))


SAGITTAL = (0, 1, 0, 0, 0, -1)
TURNED = tuple(
    np.round([np.cos(0.3), np.sin(0.3), 0, -np.sin(0.3) * np.cos(0.2), np.cos(0.3) * np.cos(0.2), np.sin(0.2)], 6)
)


def enhanced(shape=(6, 16, 18), **changes):
    """A Legacy Converted Enhanced CT, without pixel data, made by highdicom."""
    slices = make_series(shape, **changes)
    image = hd.legacy.LegacyConvertedEnhancedCTImage(slices, "1.2.3.9", 2, "1.2.3.9.1", 1)
    del image.PixelData
    return image


CORPUS = {
    "plain": lambda: make_stack(make_series()),
    "reversed": lambda: make_stack(make_series()[::-1]),
    "oblique": lambda: make_stack(make_series(orientation=TURNED)),
    "sagittal": lambda: make_stack(make_series(orientation=SAGITTAL)),
    "MR": lambda: make_stack(make_series(modality="MR")),
    "odd columns": lambda: make_stack(make_series((5, 13, 17))),
    "few pixels": lambda: make_stack(make_series((5, 3, 5))),
    "enhanced": lambda: make_frame_stack(enhanced(), [1, 2, 3, 4, 5, 6]),
    "enhanced, some frames, reversed": lambda: make_frame_stack(enhanced(), [5, 4, 3, 2]),
}
"""Name -> how to make that Stack: the geometries and encodings that a source may have."""
