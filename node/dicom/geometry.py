"""Where planes lie in the patient, and whether they make one grid: even, sheared, uneven or none (LPS, mm).

Positions and orientations alone decide (PS3.3 C.7.6.2.1.1). With a tilted gantry Image Orientation (Patient) is tilted
and the positions step along the table, so the planes shift within themselves from one to the next. Gantry/Detector
Tilt (0018,1120) is never asked: it is nominal, "not intended for mathematical computations", of either sign, and it
stays in the header of images that were resampled upright since.
"""

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
MAX_TILT_DEGREES = 30.0
"""No more is read as a tilt, whatever a pipeline allows: gantries tilt to 30 degrees, what lies beyond is a mistake."""
LONG_STEP = 1.6
"""Usual steps from which on one may hide a missing plane among uneven ones; less is another spacing, as 2 to 3 mm."""
MAX_STEP = 2.0
"""No step may be longer than this many mean ones, whatever a pipeline allows: another plane would have had room."""
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
            and all(abs(a - b) <= SAME_SPACING * b for a, b in zip(self.spacing, other.spacing, strict=True))
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


def find_affine(planes: Sequence[Plane], max_tilt_degrees: float = 0.0, max_uneven_mm: float = 0.0) -> Affine:
    """The grid on which `planes`, ordered along their normal at distinct positions, lie.

    Returns a 4x4 that maps (k, j, i, 1) to (x, y, z, 1) in mm: Pixel Spacing's first value, between rows, belongs
    to j; SliceThickness is never asked. The step between planes is the mean one, in-plane part included: of tilted
    planes the affine is sheared and exact, of uneven ones it is the even grid between the first and the last.
    max_tilt_degrees: shear that is accepted, up to MAX_TILT_DEGREES. max_uneven_mm: by how much neighbors may be
    farther apart or closer than is usual in the stack, or planes lie aside of their line; no step over MAX_STEP.
    Raises TooFewSlices, MissingSlices, TiltedGantry or UnevenGeometry; distances are along the normal.
    """
    if len(planes) < MIN_PLANES:
        raise TooFewSlices(f"{len(planes)} planes make no volume: at least {MIN_PLANES} are needed")
    first = planes[0]
    positions = np.array([plane.position for plane in planes])
    _refuse_gaps(find_depths(planes), may_be_uneven=max_uneven_mm > 0)
    _refuse_tilt(positions, first.normal, max_tilt_degrees)
    step = (positions[-1] - positions[0]) / (len(planes) - 1)
    _refuse_uneven(positions, first.normal, step, max_uneven_mm)
    affine = np.eye(4)
    affine[:3, 0] = step
    affine[:3, 1] = first.column * first.spacing[0]
    affine[:3, 2] = first.row * first.spacing[1]
    affine[:3, 3] = first.position
    return affine


def find_tilt(positions: Vector, normal: Vector) -> float:
    """Degrees between `normal` and the line along which planes at `positions` (n, 3) follow each other; 0.0 where
    the shear moves no voxel. The median step speaks for all, so that one plane out of line is no tilt."""
    along, aside = _find_shear(positions, normal)
    if aside / along <= MAX_SKEW or aside * (len(positions) - 1) <= MAX_MISPLACED:
        return 0.0
    return float(np.degrees(np.arctan2(aside, along)))


def find_misplaced(positions: Vector, step: Vector) -> Vector:
    """Distance in mm of each plane from its place on the even grid from the first position on, shape (n,)."""
    even = positions[0] + np.outer(np.arange(len(positions)), step)
    return np.asarray(np.linalg.norm(positions - even, axis=1), dtype=np.float64)


def is_negligible(misplaced: float, step: Vector) -> bool:
    """True when planes `misplaced` mm beside an even grid with that `step` may be said to lie on it."""
    return misplaced <= min(MAX_MISPLACED, float(np.linalg.norm(step)) / 10)


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


def _refuse_gaps(depths: Vector, may_be_uneven: bool) -> None:
    """A gap is a whole number of usual steps, within a fifth of one. Other jumps are uneven, not missing, and so is
    a distance that would take more planes than there are: then something lies apart, such as a stray scout."""
    steps = np.diff(depths)
    usual = float(np.sort(steps)[(len(steps) - 1) // 2])  # the lower median: of three planes, one gap is found too
    counts = np.rint(steps / usual)
    gaps = np.flatnonzero((counts >= 2) & (np.abs(steps / usual - counts) < 0.2))
    if may_be_uneven:
        gaps = _find_likely_gaps(depths, usual, counts)
    missing = int((counts[gaps] - 1).sum())
    if not 0 < missing <= len(depths):
        return
    where = ", ".join(f"{depths[g]:.2f} and {depths[g + 1]:.2f} mm" for g in gaps[:4])
    more = f" and {len(gaps) - 4} more gaps" if len(gaps) > 4 else ""
    raise MissingSlices(
        f"{missing} of {len(depths) + missing} planes missing, between {where}{more} along the normal"
        f" (planes are {usual:.3f} mm apart)"
    )


def _find_likely_gaps(depths: Vector, usual: float, counts: Vector) -> NDArray[np.intp]:
    """Gaps among planes that are uneven besides. Two neighbors that both strayed apart leave a long step too, so its
    length alone says nothing: a gap is where an even grid with more planes lies closer to all of them than the one
    without, and within half a step. It is sought in all long steps together and in each alone."""
    long = np.flatnonzero((counts >= 2) & (np.diff(depths) > LONG_STEP * usual))
    likely, present = long[:0], np.arange(len(depths), dtype=np.float64)
    closest = min(usual / 2, _worst_of_line(depths, present))
    for gaps in (long, *long[:, None]):
        jumps = np.zeros(len(depths))
        jumps[gaps + 1] = counts[gaps] - 1
        worst = _worst_of_line(depths, present + np.cumsum(jumps))
        if worst < closest:
            likely, closest = gaps, worst
    return likely


def _worst_of_line(depths: Vector, indices: Vector) -> float:
    """Largest distance in mm of `depths` from the line that fits them best over `indices`."""
    return float(np.abs(depths - np.polyval(np.polyfit(indices, depths, 1), indices)).max())


def _find_shear(positions: Vector, normal: Vector) -> tuple[float, float]:
    """How far, in mm, the median step goes along `normal` and aside of it."""
    step = np.median(np.diff(positions, axis=0), axis=0)
    along = float(step @ normal)
    return along, float(np.linalg.norm(step - along * normal))


def _refuse_tilt(positions: Vector, normal: Vector, max_tilt_degrees: float) -> None:
    degrees = find_tilt(positions, normal)
    if degrees <= min(max_tilt_degrees, MAX_TILT_DEGREES) + np.degrees(np.arctan(MAX_SKEW)):
        return
    along, aside = _find_shear(positions, normal)
    allowed = f", more than {min(max_tilt_degrees, MAX_TILT_DEGREES):g} degrees" if max_tilt_degrees else ""
    raise TiltedGantry(
        f"planes shift sideways by {aside / along:.4f} mm per mm along their normal"
        f" ({degrees:.2f} degrees, {aside * (len(positions) - 1):.1f} mm over the stack){allowed}"
    )


def _refuse_uneven(positions: Vector, normal: Vector, step: Vector, max_uneven_mm: float) -> None:
    beside = find_misplaced(positions, step)
    worst = int(beside.argmax())
    if is_negligible(float(beside[worst]), step):
        return
    spacing = float(np.linalg.norm(step))
    said = (
        f"planes are not evenly spaced: plane {worst + 1} of {len(positions)} lies {beside[worst]:.2f} mm beside"
        f" an even grid of {spacing:.3f} mm"
    )
    if max_uneven_mm <= 0:
        raise UnevenGeometry(said)
    steps = np.diff(positions @ normal)
    strayed = max(float(np.abs(steps - np.median(steps)).max()), _find_straying(positions, normal))
    if strayed > max_uneven_mm + SAME_PLACE or steps.max() > MAX_STEP * steps.mean():
        raise UnevenGeometry(
            f"{said}; they are {steps.min():.2f} to {steps.max():.2f} mm apart and stray by {strayed:.2f} mm,"
            f" more than {max_uneven_mm:g} mm or {MAX_STEP:g} mean steps"
        )


def _find_straying(positions: Vector, normal: Vector) -> float:
    """Largest distance in mm, within the planes, from the straight line between the first and the last position."""
    line = positions[-1] - positions[0]
    away = positions - positions[0]
    return float(np.linalg.norm(away - np.outer(away @ normal / (line @ normal), line), axis=1).max())
