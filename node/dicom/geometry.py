"""Where planes lie in the patient, and whether they make one even grid (PS3.3 C.7.6.2.1.1; LPS, mm)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from node.dicom.header import Frame
from node.errors import MissingSlices, TiltedGantry, TooFewSlices, UnevenGeometry
from pipelines.terms import Affine

Vector = NDArray[np.float64]

MIN_PLANES = 3
"""Fewer are no volume: with two planes no third one says whether the step between them is right."""
SAME_PLACE = 0.01
"""mm along the normal under which two planes lie at one position: scanners round positions to 0.001 to 0.01 mm."""
SAME_DIRECTION = 1e-3
"""Largest difference of direction cosines in one stack: rounding of the header, 0.5 mm at 500 mm."""
SAME_SPACING = 1e-4
"""Largest relative difference of pixel spacings in one stack: 0.05 mm over 512 pixels of 1 mm."""
MAX_MISPLACED = 0.1
"""mm that a plane may lie beside the even grid; a tenth of the spacing where that is less. An end-to-end fit makes
errors add up, so a spacing that drifts is caught as well as one plane that jumps."""
MAX_SKEW = 1e-3
"""In-plane shift per distance along the normal that readers who rebuild an upright grid may be given."""
NAMED_WITHIN = np.cos(np.radians(20.0))
"""A stack is called axial, coronal or sagittal within 20 degrees."""


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """One image in the patient.

    position: Image Position (Patient), the center of the first voxel, (x, y, z) in mm.
    row, column: unit vectors along which the column index i and the row index j grow.
    spacing: (between rows, between columns) in mm, as Pixel Spacing says them.
    shape: (rows, columns).
    """

    position: Vector
    row: Vector
    column: Vector
    spacing: tuple[float, float]
    shape: tuple[int, int]

    @property
    def normal(self) -> Vector:
        """The unit vector along which planes are put in order: row x column."""
        normal = np.cross(self.row, self.column)
        return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)

    def fits(self, other: "Plane") -> bool:
        """True when both may be planes of one grid: same shape, pixel spacing and orientation within rounding."""
        turned = max(float(np.abs(self.row - other.row).max()), float(np.abs(self.column - other.column).max()))
        return (
            self.shape == other.shape
            and turned < SAME_DIRECTION
            and bool(np.allclose(self.spacing, other.spacing, rtol=SAME_SPACING, atol=0.0))
        )


def read_plane(frame: Frame) -> Plane:
    """Where `frame` lies; raises UnevenGeometry that names the attribute which is absent or makes no sense."""
    position = _numbers(frame, "ImagePositionPatient", 3)
    cosines = _numbers(frame, "ImageOrientationPatient", 6)
    spacing = _numbers(frame, "PixelSpacing", 2)
    rows, columns = _numbers(frame, "Rows", 1)[0], _numbers(frame, "Columns", 1)[0]
    row, column = cosines[:3], cosines[3:]
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 1e-6 or abs(row @ column) / (lengths[0] * lengths[1]) > SAME_DIRECTION:
        raise UnevenGeometry("Image Orientation (Patient) is not two vectors at right angles")
    if spacing.min() <= 0 or rows < 1 or columns < 1:
        raise UnevenGeometry("Pixel Spacing, Rows or Columns is zero or negative")
    return Plane(
        position,
        row / lengths[0],
        column / lengths[1],
        (float(spacing[0]), float(spacing[1])),
        (int(rows), int(columns)),
    )


def find_depths(planes: Sequence[Plane]) -> Vector:
    """Distance in mm of each plane from the patient's origin along the normal of the first one, shape (n,)."""
    return np.array([plane.position for plane in planes]) @ planes[0].normal


def find_affine(planes: Sequence[Plane]) -> Affine:
    """The grid on which `planes`, ordered along their normal at distinct positions, lie.

    Returns a 4x4 that maps (k, j, i, 1) to (x, y, z, 1) in mm: Pixel Spacing's first value, between rows, belongs
    to j; SliceThickness is never asked. The step between planes is the mean one, in-plane part included.
    Raises TooFewSlices, MissingSlices, TiltedGantry or UnevenGeometry; distances are along the normal.
    """
    if len(planes) < MIN_PLANES:
        raise TooFewSlices(f"{len(planes)} planes make no volume: at least {MIN_PLANES} are needed")
    first = planes[0]
    depths = find_depths(planes)
    _refuse_gaps(depths)
    positions = np.array([plane.position for plane in planes])
    _refuse_tilt(positions, first.normal)
    step = (positions[-1] - positions[0]) / (len(planes) - 1)
    _refuse_uneven(positions, step)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = first.column * first.spacing[0]
    affine[:3, 2] = first.row * first.spacing[1]
    affine[:3, 3] = first.position
    return affine


def name_orientation(normal: Vector) -> str:
    """ "axial", "coronal" or "sagittal" when the unit vector `normal` is within 20 degrees of it, else "oblique"."""
    axis = int(np.abs(normal).argmax())
    return ("sagittal", "coronal", "axial")[axis] if abs(normal[axis]) >= NAMED_WITHIN else "oblique"


def _numbers(frame: Frame, keyword: str, count: int) -> Vector:
    value: Any = frame.get(keyword)
    try:
        numbers = np.atleast_1d(np.array(value, dtype=np.float64))
    except (TypeError, ValueError):
        numbers = np.array([np.nan])
    if numbers.shape != (count,) or not np.isfinite(numbers).all():
        raise UnevenGeometry(f"{keyword} is {'absent' if value is None else 'not ' + str(count) + ' finite numbers'}")
    return numbers


def _refuse_gaps(depths: Vector) -> None:
    """A gap is a whole number of usual steps, within a fifth of one. Other jumps are uneven, not missing, and so is
    a distance that would take more planes than there are: then something lies apart, such as a stray scout."""
    steps = np.diff(depths)
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])  # the lower median: of three planes, one gap is found too
    counts = np.rint(steps / usual)
    gaps = np.flatnonzero((counts >= 2) & (np.abs(steps / usual - counts) < 0.2))
    missing = int((counts[gaps] - 1).sum())
    if 0 < missing <= len(depths):
        where = ", ".join(f"{depths[g]:.2f} and {depths[g + 1]:.2f} mm" for g in gaps[:4])
        more = f" and {len(gaps) - 4} more gaps" if len(gaps) > 4 else ""
        raise MissingSlices(
            f"{missing} of {len(depths) + missing} planes missing, between {where}{more} along the normal"
            f" (planes are {usual:.3f} mm apart)"
        )


def _refuse_tilt(positions: Vector, normal: Vector) -> None:
    steps = np.diff(positions, axis=0)
    step = np.median(steps, axis=0)
    along = float(step @ normal)
    aside = float(np.linalg.norm(step - along * normal))
    total = aside * len(steps)
    if aside / along > MAX_SKEW and total > MAX_MISPLACED:
        raise TiltedGantry(
            f"planes shift sideways by {aside / along:.4f} mm per mm along their normal"
            f" ({np.degrees(np.arctan2(aside, along)):.2f} degrees, {total:.1f} mm over the stack)"
        )


def _refuse_uneven(positions: Vector, step: Vector) -> None:
    spacing = float(np.linalg.norm(step))
    beside = np.linalg.norm(positions - positions[0] - np.outer(np.arange(len(positions)), step), axis=1)
    worst = int(beside.argmax())
    if beside[worst] > min(MAX_MISPLACED, spacing / 10):
        raise UnevenGeometry(
            f"planes are not evenly spaced: plane {worst + 1} of {len(positions)} lies {beside[worst]:.2f} mm beside"
            f" an even grid of {spacing:.3f} mm"
        )
