"""From the model's grid back to the source's: fields interpolated, then decided; never labels stretched."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipelines.steps.resample import Grid, resample_slabs
from pipelines.terms import Affine, Mask


def project(
    fields: tuple[Tensor, ...], affine: Affine, where: Mask, grid: Grid, decide: Callable[..., Tensor], kinds: int
) -> list[Mask]:
    """`kinds` masks of shape grid.shape, decided from `fields` (each (k, j, i) at `affine`) interpolated on `grid`.

    where: bool, shape of the fields; no mask is looked for farther than a voxel from it, which saves the time for
        the rest of the grid.
    decide: called with one slab of every field, gives bool (kinds, k, j, i).
    """
    masks = [np.zeros(grid.shape, dtype=bool) for _ in range(kinds)]
    box = _find_box(where, affine, grid)
    if box is None:
        return masks
    part = crop_grid(grid, box)
    slabs = (resample_slabs(field, affine, part, antialias=False, device=str(field.device)) for field in fields)
    for pieces in zip(*slabs, strict=True):
        planes = pieces[0][0]
        target = (slice(box[0].start + planes.start, box[0].start + planes.stop), box[1], box[2])
        for mask, decided in zip(masks, decide(*(values for _, values in pieces)).cpu().numpy(), strict=True):
            mask[target] = decided
    return masks


def crop_grid(grid: Grid, box: tuple[slice, slice, slice]) -> Grid:
    """The part of `grid` inside `box` (k, j, i), with the affine of the part."""
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ np.array([side.start for side in box], dtype=np.float64)
    k, j, i = (side.stop - side.start for side in box)
    return Grid((k, j, i), affine)


def _find_box(where: Mask, affine: Affine, grid: Grid) -> tuple[slice, slice, slice] | None:
    """The indices of `grid` that can lie within a voxel of `where`; None when there are none."""
    if not where.any():
        return None
    low, high = _extent(where)
    corners = np.array([[(low, high)[b][axis] for axis, b in enumerate(bits)] for bits in np.ndindex(2, 2, 2)])
    places = np.c_[corners, np.ones(8)] @ (np.linalg.inv(grid.affine) @ affine).T
    first = np.clip(np.floor(places.min(axis=0)[:3]), 0, grid.shape).astype(int)
    end = np.clip(np.ceil(places.max(axis=0)[:3]) + 1, 0, grid.shape).astype(int)
    if (end <= first).any():
        return None
    k, j, i = (slice(int(a), int(b)) for a, b in zip(first, end, strict=True))
    return k, j, i


def _extent(where: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest index of `where` along each axis, a voxel wider."""
    spans = [np.flatnonzero(where.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    return np.array([s[0] - 1.0 for s in spans]), np.array([s[-1] + 1.0 for s in spans])
