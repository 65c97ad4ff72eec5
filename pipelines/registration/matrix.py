"""4x4 matrices of motions and grids."""

import numpy as np

from pipelines.terms import Affine


def invert(matrix: Affine) -> Affine:
    """The way back."""
    return np.asarray(np.linalg.inv(matrix), dtype=np.float64)
