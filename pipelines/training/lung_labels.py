"""Lung labels by classical means, for training: air inside the body, less the airways, vessels filled in.

They are not a radiologist's outlines. They hold for the scans they were looked at on, where thresholds and distances
suit; the network learns from them what lungs look like where thresholds fail.
"""

import numpy as np
from numpy.typing import NDArray

from pipelines.steps.body import find_body
from pipelines.steps.components import fill_holes, fill_small_holes, keep_larger_than, keep_largest, label_components
from pipelines.steps.morphology import close_ball, dilate_ball, open_ball
from pipelines.terms import Mask

AIR_HU = -400.0
"""Half way between lung (about -850) and soft tissue (about 40)."""
AIRWAY_HU = -900.0
LUNG_ML = 150.0
"""Least volume of a lung, or of the two when they touch."""
HOLE_MM2 = 300.0


def label_lungs(hu: NDArray[np.float32], spacing_mm: float) -> Mask:
    """The lungs in `hu` (k, j, i along +z, +y, +x in LPS; isotropic voxels of about 2 mm): right and left in one."""
    body = find_body(hu, spacing_mm)
    air = (hu < AIR_HU) & body
    airways = find_airways(hu, body, spacing_mm)
    lungs = _keep_lungs(air & ~dilate_ball(airways, 1.5 * spacing_mm, spacing_mm), hu, spacing_mm)
    closed = np.zeros_like(lungs)
    for side in _split(lungs):
        closed |= fill_holes(close_ball(side, 8.0, spacing_mm))
    closed &= body & ~dilate_ball(airways, spacing_mm, spacing_mm)
    return open_ball(fill_small_holes(closed, HOLE_MM2 / spacing_mm**2) & ~airways, 2.0, spacing_mm)


def find_airways(hu: NDArray[np.float32], body: Mask, spacing_mm: float) -> Mask:
    """Trachea and main bronchi: grown from the trachea in the uppermost planes until it would flood the lungs."""
    seed = _find_trachea(hu, body, spacing_mm)
    if not seed.any():
        return seed
    voxel_ml = spacing_mm**3 / 1000.0
    grown, size = seed, 0.0
    for threshold in range(-970, -850, 10):
        labels, _ = label_components(((hu < threshold) & body) | seed)
        wanted = np.unique(labels[seed])
        candidate = np.isin(labels, wanted[wanted > 0])
        ml = float(candidate.sum()) * voxel_ml
        if ml > 120.0 or (size > 15.0 and ml > 1.6 * size):
            break
        grown, size = candidate, ml
    return grown


def _find_trachea(hu: NDArray[np.float32], body: Mask, spacing_mm: float) -> Mask:
    """A round patch of air, 8 to 30 mm across and away from the sides, followed over at least 20 mm of planes."""
    patches = np.zeros(hu.shape, dtype=bool)
    top = hu.shape[0]
    for k in range(top - 1, max(-1, top - 1 - int(120 / spacing_mm)), -1):
        labels, sizes = label_components(((hu[k] < AIRWAY_HU + 50) & body[k])[None])
        columns = np.flatnonzero(body[k].any(axis=0))
        if columns.size == 0:
            continue
        middle, reach = columns.mean(), 0.12 * np.ptp(columns)
        for n in np.flatnonzero(sizes * spacing_mm**2 > 50):
            j, i = np.nonzero(labels[0] == n)
            wide, deep = np.ptp(i) + 1, np.ptp(j) + 1
            compact = i.size > 0.5 * wide * deep and max(wide, deep) * spacing_mm < 32
            if compact and abs(i.mean() - middle) < reach and hu[k][j, i].mean() < AIRWAY_HU:
                patches[k, j, i] = True
    trachea = keep_largest(patches)
    tall = np.count_nonzero(trachea.any(axis=(1, 2))) * spacing_mm >= 20
    return trachea if tall else np.zeros_like(trachea)


def _keep_lungs(air: Mask, hu: NDArray[np.float32], spacing_mm: float) -> Mask:
    """The components that are big enough and have lung's texture: bowel gas is far more even and nearer to -1000."""
    voxel_ml = spacing_mm**3 / 1000.0
    labels, sizes = label_components(open_ball(air, 1.2 * spacing_mm, spacing_mm))
    kept = np.zeros_like(air)
    for n in np.flatnonzero(sizes * voxel_ml >= LUNG_ML):
        part = labels == n
        if np.mean(hu[part] < -960) < 0.5:
            kept |= part
    grown = dilate_ball(kept, 2 * spacing_mm, spacing_mm) & air
    return keep_larger_than(grown, LUNG_ML / voxel_ml)


def _split(lungs: Mask) -> list[Mask]:
    """The components of `lungs`, each alone, so that closing one never bridges to the other."""
    labels, sizes = label_components(lungs)
    return [labels == n for n in np.flatnonzero(sizes)]
