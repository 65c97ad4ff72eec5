"""Overlap of two masks."""

import numpy as np

from pipelines.terms import Mask


def get_dice(a: Mask, b: Mask) -> float:
    """Dice coefficient, 0..1: twice the common voxels over the sum of both; 1 when both are empty."""
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2.0 * np.count_nonzero(a & b) / total if total else 1.0
