"""Labels from one grid to another by the nearest voxel: no class appears that was not there."""

import numpy as np
from numpy.typing import NDArray

from pipelines.steps.resample import Grid
from pipelines.terms import Affine


def lay_labels(labels: NDArray[np.uint8], affine: Affine, grid: Grid) -> NDArray[np.uint8]:
    """`labels` (k, j, i at `affine`) on `grid`: for each of its voxels the label there, 0 beyond.

    Plane by plane, so that memory does not grow with the grid; oblique and left-handed grids come out right.
    """
    to_source = np.linalg.inv(affine) @ grid.affine
    size = np.array(labels.shape)[:, None, None]
    j, i = np.ogrid[: grid.shape[1], : grid.shape[2]]
    steps = [to_source[n, 1] * j + to_source[n, 2] * i + to_source[n, 3] for n in range(3)]
    laid = np.zeros(grid.shape, dtype=np.uint8)
    for k, plane in enumerate(laid):
        # Halves go up by way of floor: rounding to even would stretch every other voxel.
        where = np.floor(np.stack([step + to_source[n, 0] * k for n, step in enumerate(steps)]) + 0.5).astype(np.int64)
        inside = ((where >= 0) & (where < size)).all(axis=0)
        plane[inside] = labels[tuple(where[:, inside])]
    return laid
