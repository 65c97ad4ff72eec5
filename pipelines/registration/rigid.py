"""The rigid motion that lays one volume on another: rotations and translations in mm, found coarse to fine.

Within CT the correlation of densities is followed, which contrast medium and another kernel leave as it is; between
modalities, and in MR, the mutual information (Mattes). Tables differ in height and scanners in where zero is: so starts
are tried along the patient, the best are refined, and the motion is found once in each direction. Two that do not undo
each other, too much turn or too little likeness are refusals by name, never a result.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import SimpleITK as sitk  # noqa: N813  the name by which everybody knows it
from numpy.typing import NDArray

from pipelines.errors import NoOverlap, NotConverged
from pipelines.registration.matrix import invert
from pipelines.registration.prepare import Prepared, prepare
from pipelines.terms import Affine, Volume

SPACING_MM = 3.0
COARSE = 4
"""Starts are judged on voxels as many times larger; then the half of it, and at last every voxel is looked at."""
SAMPLED = 0.25
"""Share of the voxels that are asked at the finest level."""
WORK_UNITS = 2
"""Sums are split into as many parts whatever the machine has: another number would change the last digits."""
STARTS = 3
STEP_MM = 24.0
"""Between two starts along the patient."""
LEAST_OVERLAP = 0.3
"""Of the smaller of the two bodies."""
MOST_TURN = 30.0
"""Degrees. Who lies prone once and supine once is not compared."""
MOST_DISAGREEMENT_MM = 5.0
LEAST_CORRELATION = 0.8
UNDEFINED = 1e6
"""ITK's metric of no points at all is larger."""

sitk.ProcessObject.SetGlobalWarningDisplay(False)  # it warns of starts where bodies do not meet


@dataclass(frozen=True, slots=True, eq=False)
class Rigid:
    """matrix: 4x4, a point of the moving volume (x, y, z, 1) in LPS mm -> the same place of the patient in the fixed
    one. correlation: of the two volumes then, within the bodies; None between modalities. overlap: share of the fixed
    body that the moving volume shows. disagreement_mm: how far the motions found in both directions miss each other, at
    worst, on a corner of the body. turn_degrees: angle of rotation."""

    matrix: Affine
    correlation: float | None
    overlap: float
    disagreement_mm: float
    turn_degrees: float


def register_rigid(fixed: Volume, moving: Volume) -> Rigid:
    """The motion from `moving` to `fixed`; the same numbers whenever it is called with the same volumes.

    Raises UnsuitableVolume when one of them cannot be registered, NoOverlap when they share too little of the body,
    NotConverged when what was found is not to be believed; the sentence says why.
    """
    still, other = prepare(fixed, SPACING_MM), prepare(moving, SPACING_MM)
    there, back = _find(still, other), _find(other, still)
    matrix = invert(there)  # ITK maps points of the fixed image to the moving one
    found = Rigid(
        matrix,
        correlate(still, other, there) if _is_alike(still, other) else None,
        overlap(still, other, there),
        _disagree(still, there, back),
        _turn(matrix),
    )
    check_rigid(found, still, other, there)
    return found


def find_motion(fixed: Volume, moving: Volume) -> Affine:
    """The motion from `moving` to `fixed`, as register_rigid finds it, looked for in this direction alone and judged by
    nobody. Raises UnsuitableVolume, NoOverlap, NotConverged."""
    return invert(_find(prepare(fixed, SPACING_MM), prepare(moving, SPACING_MM)))


def correlate(still: Prepared, other: Prepared, to_other: Affine) -> float:
    """Correlation of values where both bodies are; 0.0 where they are nowhere together."""
    moved, seen = (_lay(image, still, to_other) for image in (other.to_image(), other.to_mask()))
    both = still.body & (seen > 0.5)
    if np.count_nonzero(both) < 2 or not still.values[both].std() * moved[both].std():
        return 0.0
    return float(np.corrcoef(still.values[both], moved[both])[0, 1])


def overlap(still: Prepared, other: Prepared, to_other: Affine) -> float:
    """Share of the body of `still` that `other` shows."""
    seen = _lay(other.to_mask(), still, to_other) > 0.5
    return float(np.count_nonzero(still.body & seen) / np.count_nonzero(still.body))


def _lay(image: sitk.Image, still: Prepared, to_other: Affine) -> NDArray[np.float32]:
    laid = sitk.Resample(sitk.Cast(image, sitk.sitkFloat32), still.to_image(), to_transform(to_other), sitk.sitkLinear)
    values: NDArray[np.float32] = sitk.GetArrayFromImage(laid)
    return values


def to_transform(matrix: Affine) -> sitk.AffineTransform:
    """`matrix` as ITK has it."""
    transform = sitk.AffineTransform(3)
    transform.SetMatrix([float(v) for v in matrix[:3, :3].ravel()])
    transform.SetTranslation([float(v) for v in matrix[:3, 3]])
    return transform


def _to_matrix(transform: sitk.Euler3DTransform) -> Affine:
    turn = np.array(transform.GetMatrix()).reshape(3, 3)
    center, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, center + shift - turn @ center
    return matrix


def _is_alike(still: Prepared, other: Prepared) -> bool:
    return still.modality == other.modality == "CT"


def _find(still: Prepared, other: Prepared) -> Affine:
    """From points of `still` to points of `other`."""
    coarse = _Level(still, other, COARSE)
    ranked = sorted((coarse.judge(start), n, start) for n, start in enumerate(_starts(still, other)))
    able = [start for value, _, start in ranked if np.isfinite(value)]
    if not able:
        raise NoOverlap("the two volumes can be laid on each other nowhere so that they share enough of the body")
    refined = [coarse.run(start) for start in able[:STARTS]]
    found = min(refined, key=coarse.judge)
    for shrink in (COARSE // 2, 1):
        found = _Level(still, other, shrink).run(found)
    return _to_matrix(found)


def _starts(still: Prepared, other: Prepared) -> list[sitk.Euler3DTransform]:
    """Bodies laid center on center, and slid along each other as far as enough of the shorter is still on the longer;
    and as the scanner's coordinates say."""
    shift = other.center - still.center
    reach = (still.length_mm + other.length_mm) / 2 - LEAST_OVERLAP * min(still.length_mm, other.length_mm)
    count = int(reach // STEP_MM)
    places = [shift + np.array([0.0, 0.0, n * STEP_MM]) for n in range(-count, count + 1)]
    starts = []
    for place in [*places, np.zeros(3)]:
        start = sitk.Euler3DTransform()
        start.SetCenter([float(v) for v in still.center])
        start.SetTranslation([float(v) for v in place])
        starts.append(start)
    return starts


class _Level:
    """Registration on voxels `shrink` times as large, smoothed before."""

    def __init__(self, still: Prepared, other: Prepared, shrink: int) -> None:
        self._bodies = still, other
        self._images = tuple(_shrink(one.to_image(), shrink) for one in (still, other))
        method = sitk.ImageRegistrationMethod()
        method.SetNumberOfThreads(WORK_UNITS)
        if _is_alike(still, other):
            method.SetMetricAsCorrelation()
        else:
            method.SetMetricAsMattesMutualInformation(32)
        if shrink == 1:
            method.SetMetricSamplingStrategy(method.REGULAR)
            method.SetMetricSamplingPercentage(SAMPLED, seed=1)
        method.SetMetricFixedMask(still.to_mask())
        method.SetMetricMovingMask(other.to_mask())
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(
            learningRate=SPACING_MM * shrink / 2, minStep=0.01 * shrink, numberOfIterations=80, relaxationFactor=0.5
        )
        method.SetOptimizerScalesFromPhysicalShift()
        self._method = method

    def judge(self, start: sitk.Euler3DTransform) -> float:
        """The metric there, less is better; infinite where the volumes hardly meet. Mutual information counts as much
        as the bodies overlap: of few voxels it is always large."""
        self._method.SetInitialTransform(start, inPlace=False)
        try:
            value = float(self._method.MetricEvaluate(*self._images))
        except RuntimeError:  # ITK's word for too few samples within both masks
            return float("inf")
        if abs(value) >= UNDEFINED:
            return float("inf")
        return value if _is_alike(*self._bodies) else value * overlap(*self._bodies, _to_matrix(start))

    def run(self, start: sitk.Euler3DTransform) -> sitk.Euler3DTransform:
        """The nearest optimum. Raises NotConverged."""
        self._method.SetInitialTransform(sitk.Euler3DTransform(start), inPlace=True)
        try:
            return sitk.Euler3DTransform(self._method.Execute(*self._images))
        except RuntimeError as error:
            raise NotConverged("the registration left the images on its way") from error


def _shrink(image: sitk.Image, factor: int) -> sitk.Image:
    if factor == 1:
        return image
    return sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, SPACING_MM * factor / 2), [factor] * 3)


def _disagree(still: Prepared, there: Affine, back: Affine) -> float:
    """How far, in mm, corners of the grid of `still` are from where they began after both ways."""
    ends = [(0.0, n - 1.0) for n in still.grid.shape]
    corners = np.array([(*corner, 1.0) for corner in product(*ends)]) @ still.grid.affine.T
    return float(np.linalg.norm((corners @ (back @ there).T - corners)[:, :3], axis=1).max())


def _turn(matrix: Affine) -> float:
    cosine = (float(np.trace(matrix[:3, :3])) - 1.0) / 2.0
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def check_rigid(found: Rigid, still: Prepared, other: Prepared, there: Affine) -> None:
    """Raises NoOverlap or NotConverged unless `found` is to be believed. there: its matrix, from `still` to `other`."""
    shared = max(found.overlap, overlap(other, still, invert(there)))
    if shared < LEAST_OVERLAP:
        raise NoOverlap(f"only {shared:.0%} of the smaller body is in both volumes")
    if found.turn_degrees > MOST_TURN:
        raise NotConverged(f"the patient would have to be turned by {found.turn_degrees:.0f} degrees")
    if found.disagreement_mm > MOST_DISAGREEMENT_MM:
        raise NotConverged(f"the motions found in the two directions differ by {found.disagreement_mm:.1f} mm")
    if found.correlation is not None and found.correlation < LEAST_CORRELATION:
        raise NotConverged(
            f"the volumes are not alike once they are laid on each other (correlation {found.correlation:.2f},"
            f" less than {LEAST_CORRELATION}): another patient or part of the body?"
        )
