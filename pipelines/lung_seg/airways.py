"""Trachea and main bronchi: tubes of air in soft tissue, which lung is not."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.steps.components import label_components
from pipelines.terms import Mask

LUMEN_HU = -880.0
TISSUE_HU = -600.0
LUMEN_MM2 = (30.0, 900.0)
"""Cross-section of an airway worth cutting out, or of the gas in an esophagus or a loop of bowel."""
WALL_SHARE = 0.7
"""At least this share of what surrounds the lumen is tissue; within lung it would be lung."""
GAS_HU = -920.0
"""Mean of an airway's lumen is below; slips of lung between diaphragm and ribs are denser."""
ACROSS_MM = 45.0
"""No airway is wider, even where the trachea divides; slips of lung are long and thin."""


def find_airways(hu: NDArray[np.float32], spacing_mm: float) -> Mask:
    """Lumen and wall of the airways outside the lungs in `hu` (k, j, i along +z, +y, +x; isotropic; NaN unknown).

    Found plane by plane across +z, so it works in a slab of any height; a bronchus that runs within the plane, or is
    surrounded by lung, stays.
    """
    lumen = np.zeros(hu.shape, dtype=bool)
    for plane, found in zip(np.nan_to_num(hu, nan=0.0), lumen, strict=True):
        labels, sizes = label_components(plane < LUMEN_HU)
        area = sizes * spacing_mm**2
        for n in np.flatnonzero((area >= LUMEN_MM2[0]) & (area <= LUMEN_MM2[1])):
            patch = labels == n
            if _is_lumen(plane, patch, spacing_mm):
                found[patch] = True
    wide = ndimage.generate_binary_structure(2, 2)[None]
    return np.asarray(ndimage.binary_dilation(lumen, wide))


def _is_lumen(plane: NDArray[np.float32], patch: Mask, spacing_mm: float) -> bool:
    """Is `patch` of `plane` (j, i) compact, full of gas, and walled by tissue?"""
    j, i = np.nonzero(patch)
    deep, across = int(np.ptp(j)) + 1, int(np.ptp(i)) + 1
    compact = j.size >= 0.45 * deep * across and max(deep, across) * spacing_mm <= ACROSS_MM
    if not compact or plane[patch].mean() > GAS_HU:
        return False
    inner = ndimage.binary_dilation(patch)
    ring = ndimage.binary_dilation(inner, iterations=2) & ~inner
    return bool(np.mean(plane[ring] > TISSUE_HU) >= WALL_SHARE)
