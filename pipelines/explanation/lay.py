"""A map from the grid on which it was computed to that of the images."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipelines.steps.project import crop_grid
from pipelines.steps.resample import Grid, resample_slabs
from pipelines.terms import Affine


def lay(values: Tensor, affine: Affine, grid: Grid) -> NDArray[np.float32]:
    """`values` (k, j, i) at `affine`, linear between their centers on `grid`, 0 beyond; made slab by slab."""
    made = np.empty(grid.shape, np.float32)
    for planes, part in resample_slabs(values, affine, grid, antialias=False, device=str(values.device)):
        made[planes] = part.cpu().numpy()
    return made


def lay_part(values: Tensor, affine: Affine, grid: Grid) -> tuple[tuple[slice, slice, slice], NDArray[np.float32]]:
    """As `lay`, of the part of `grid` alone that can lie within `values`: (its indices, its values)."""
    box = _find_box(values.shape, affine, grid)
    return box, lay(values, affine, crop_grid(grid, box))


def _find_box(shape: Sequence[int], affine: Affine, grid: Grid) -> tuple[slice, slice, slice]:
    """The indices of `grid` that can lie within what has `shape` at `affine`."""
    corners = np.array([(*corner, 1.0) for corner in np.ndindex(2, 2, 2)])
    corners[:, :3] = corners[:, :3] * shape - 0.5
    places = (corners @ (np.linalg.inv(grid.affine) @ affine).T)[:, :3]
    first = np.clip(np.floor(places.min(axis=0)), 0, grid.shape).astype(int)
    end = np.clip(np.ceil(places.max(axis=0)) + 1, 0, grid.shape).astype(int)
    k, j, i = (slice(int(a), int(b)) for a, b in zip(first, end, strict=True))
    return k, j, i
