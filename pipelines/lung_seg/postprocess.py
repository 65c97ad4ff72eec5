"""From the network's probability to lungs that make anatomical sense."""

import numpy as np
from numpy.typing import NDArray

from pipelines.steps.components import fill_holes, label_components
from pipelines.terms import Mask

THRESHOLD = 0.5
PART_ML = 3.0
"""Smaller parts are dropped."""
PART_SHARE = 0.01
"""Parts with less than this share of the greatest are dropped: gas pockets, air between the arms."""
GAS_HU = -965.0
LEAST_LUNG_ML = 50.0
"""Less than this in all is no lung: gas in bowel or trachea, or the very tip of an apex."""


def keep_lungs(probability: NDArray[np.float32], hu: NDArray[np.float32], spacing_mm: float) -> Mask:
    """The lungs in `probability` (k, j, i; isotropic): the parts that are large enough and are not pure gas, holes
    filled; empty when they make less than LEAST_LUNG_ML."""
    voxel_ml = spacing_mm**3 / 1000.0
    labels, sizes = label_components(probability > THRESHOLD)
    least = max(PART_ML / voxel_ml, PART_SHARE * float(sizes.max()))
    gas = np.bincount(labels.ravel(), weights=(hu < GAS_HU).ravel(), minlength=sizes.size)
    keep = (sizes >= least) & (gas < 0.6 * np.maximum(sizes, 1))
    lungs = fill_holes(np.asarray(keep[labels]))
    return lungs if lungs.sum() * voxel_ml >= LEAST_LUNG_ML else np.zeros_like(lungs)
