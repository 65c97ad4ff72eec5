"""From the network's probability to lungs that make anatomical sense."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.lung_seg.airways import find_airways
from pipelines.steps.components import fill_holes, fill_small_holes, label_components
from pipelines.terms import Mask

THRESHOLD = 0.4
"""Between 0.5, which cuts inside the labels' outline, and 0.3, which takes in what is not lung (see the model card)."""
PART_ML = 5.0
"""Smaller parts are dropped."""
PART_SHARE = 0.01
"""Parts with less than this share of the greatest are dropped: gas pockets, air between the arms."""
GAS_HU = -965.0
HOLE_MM2 = 300.0
"""Vessels and nodules make holes of up to this in a plane; the dome of the diaphragm makes larger ones."""
LEAST_LUNG_ML = 50.0
"""Less than this in all is no lung: gas in bowel or trachea, or the very tip of an apex."""
LEAST_DEPTH_MM = 12.0
"""A lung has room for a ball of this radius; sinuses, folds of skin and the rim of a phantom do not."""


def keep_lungs(probability: NDArray[np.float32], hu: NDArray[np.float32], spacing_mm: float) -> Mask:
    """The lungs in `probability` (k, j, i along +z, +y, +x; isotropic): without airways, the parts that are large
    enough and are not pure gas, holes filled. Empty when they make less than LEAST_LUNG_ML, or are nowhere deeper than
    LEAST_DEPTH_MM."""
    voxel_ml = spacing_mm**3 / 1000.0
    airways = find_airways(hu, spacing_mm)
    labels, sizes = label_components((probability > THRESHOLD) & ~airways)
    least = max(PART_ML / voxel_ml, PART_SHARE * float(sizes.max()))
    gas = np.bincount(labels.ravel(), weights=(hu < GAS_HU).ravel(), minlength=sizes.size)
    keep = (sizes >= least) & (gas < 0.6 * np.maximum(sizes, 1))
    lungs = fill_small_holes(fill_holes(np.asarray(keep[labels])), HOLE_MM2 / spacing_mm**2) & ~airways
    plausible = lungs.sum() * voxel_ml >= LEAST_LUNG_ML and _get_depth(lungs) * spacing_mm >= LEAST_DEPTH_MM
    return lungs if plausible else np.zeros_like(lungs)


def _get_depth(lungs: Mask) -> float:
    """Voxels from the deepest point of `lungs` to what is not; where the array ends, lung may go on."""
    return float(ndimage.distance_transform_edt(lungs).max()) if not lungs.all() else float("inf")
