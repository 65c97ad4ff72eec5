"""A map from the grid on which it was computed to that of the images."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pipelines.steps.resample import Grid, resample_slabs
from pipelines.terms import Affine


def lay(values: Tensor, affine: Affine, grid: Grid) -> NDArray[np.float32]:
    """`values` (k, j, i) at `affine`, linear between their centers on `grid`, 0 beyond; made slab by slab."""
    made = np.empty(grid.shape, np.float32)
    for planes, part in resample_slabs(values, affine, grid, antialias=False, device=str(values.device)):
        made[planes] = part.cpu().numpy()
    return made
