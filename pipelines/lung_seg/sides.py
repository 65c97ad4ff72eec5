"""Which lung is which: by place in the patient (LPS), also where they touch, one is absent, or both are in pieces."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.steps.components import label_components
from pipelines.terms import Mask

RIGHT, LEFT = 1, 2
CORE_SHARE = 0.12
"""A lung's core holds at least this share of all cores: smaller pieces are tips and slips, not the other lung."""
MEDIASTINUM_MM = 30.0
APART_MM = 50.0
"""The middles of the two lungs are farther apart than this, right to left."""


def split_sides(lungs: Mask, tissue: Mask, spacing_mm: float) -> NDArray[np.uint8]:
    """RIGHT or LEFT for every voxel of the grid, that of the nearest lung; all 0 when there is no lung.

    lungs, tissue: (k, j, i) along +z, +y, +x (LPS), isotropic. tissue: the solid body, whose middle decides when there
    are no two lungs to compare.
    """
    if not lungs.any():
        return np.zeros(lungs.shape, dtype=np.uint8)
    middle = _find_middle(lungs, tissue, spacing_mm)
    cores = _find_cores(lungs, middle, spacing_mm)
    sides = _grow(lungs, cores) if cores is not None else _by_middle(lungs, middle)
    nearest = ndimage.distance_transform_edt(sides == 0, return_distances=False, return_indices=True)
    return np.asarray(sides[tuple(nearest)])


def _find_middle(lungs: Mask, tissue: Mask, spacing_mm: float) -> float:
    """The i between right and left: where, in the planes that hold lung, most tissue lies from front to back: spine,
    heart and vessels. Holds in a field of view with one lung alone, where the middle of the body does not."""
    planes = tissue[lungs.any(axis=(1, 2))]
    columns = planes.sum(axis=(0, 1), dtype=np.float64)
    smooth = ndimage.uniform_filter1d(columns, max(1, round(MEDIASTINUM_MM / spacing_mm)), mode="nearest")
    return float(np.flatnonzero(smooth >= 0.97 * smooth.max()).mean())


@dataclass(frozen=True, slots=True, eq=False)
class _Core:
    voxels: Mask
    i: float
    size: int


def _find_cores(lungs: Mask, middle: float, spacing_mm: float) -> tuple[Mask, Mask] | None:
    """(right, left): the two great parts that are left when the lungs are thinned until they part; None when they
    never do, or lie on one side."""
    depth = ndimage.distance_transform_edt(lungs) * spacing_mm
    for radius in (0.0, 3.0, 4.5, 6.0, 9.0, 12.0, 15.0, 20.0):
        cores = _find_parts(depth > radius)
        if len(cores) < 2:
            continue
        right, left = sorted(cores[:2], key=lambda core: core.i)
        if right.i < middle < left.i and (left.i - right.i) * spacing_mm > APART_MM:
            return right.voxels, left.voxels
    return None


def _find_parts(mask: Mask) -> list[_Core]:
    """The components with at least CORE_SHARE of the voxels, the largest first."""
    labels, sizes = label_components(mask)
    great = [int(n) for n in np.argsort(sizes)[::-1] if sizes[n] > CORE_SHARE * sizes.sum()]
    cores = []
    for n in great:
        part = labels == n
        cores.append(_Core(part, float(np.nonzero(part)[2].mean()), int(sizes[n])))
    return cores


def _grow(lungs: Mask, cores: tuple[Mask, Mask]) -> NDArray[np.uint8]:
    """Sides of the lungs' voxels: that of the nearer core, so that the border falls halfway between the cores and a rim
    stays with the lung that it surrounds; a component without a core goes by where it lies to the middle between the
    cores."""
    to_right, to_left = (ndimage.distance_transform_edt(~core) for core in cores)
    sides = np.where(to_right <= to_left, RIGHT, LEFT)
    labels, _ = label_components(lungs)
    border = (np.nonzero(cores[0])[2].mean() + np.nonzero(cores[1])[2].mean()) / 2
    loose = lungs & ~np.isin(labels, np.unique(labels[cores[0] | cores[1]]))
    sides[loose] = _by_middle(loose, border)[loose]
    return np.where(lungs, sides, 0).astype(np.uint8)


def _by_middle(lungs: Mask, middle: float) -> NDArray[np.uint8]:
    """Each component to the side on which most of it lies; one that lies evenly across is cut there."""
    labels, sizes = label_components(lungs)
    on_right = np.arange(lungs.shape[2]) < middle
    right = np.bincount(labels[:, :, on_right].ravel(), minlength=sizes.size)
    share = right / np.maximum(sizes, 1)
    voxel_share = share[labels]
    sides = np.where(voxel_share > 0.5, RIGHT, LEFT)
    sides = np.where(np.abs(voxel_share - 0.5) < 0.3, np.where(on_right, RIGHT, LEFT), sides)
    return np.where(lungs, sides, 0).astype(np.uint8)
