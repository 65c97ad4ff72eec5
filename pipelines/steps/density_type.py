"""How dense a nodule of the lung is: solid, part-solid or ground-glass, by a rule on HU.

Ground-glass does not hide the vessels within it. Voxels above SOLID_HU count as solid, as is usual for the solid part
of nodules in lung (-300 to -500 HU in the literature); the rim, where lung is averaged in, is left out.
"""

from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from pipelines.steps.morphology import erode_ball
from pipelines.terms import Mask

SOLID_HU = -350.0
SOLID_SHARE, GROUND_GLASS_SHARE = 0.6, 0.1
RIM_MM = 0.8


class DensityType(StrEnum):
    """What a nodule is called by its density."""

    SOLID = "solid"
    PART_SOLID = "part-solid"
    GROUND_GLASS = "ground-glass"


def get_solid_share(hu: NDArray[np.float32], mask: Mask, spacing: tuple[float, float, float]) -> float:
    """Share (0..1) of the voxels of `mask` above SOLID_HU, without its rim where anything is left without it. hu, mask:
    (k, j, i); spacing: mm along them."""
    core = np.stack([erode_ball(np.pad(plane, 1)[None], RIM_MM, spacing)[0, 1:-1, 1:-1] for plane in mask])
    inside = hu[core if np.count_nonzero(core) >= 5 else mask]
    return float(np.mean(inside > SOLID_HU))


def name_density(share: float) -> DensityType:
    """The type of a nodule of which `share` is solid: at least SOLID_SHARE is solid, less than GROUND_GLASS_SHARE is
    ground-glass, all between is part-solid."""
    if share >= SOLID_SHARE:
        return DensityType.SOLID
    return DensityType.GROUND_GLASS if share < GROUND_GLASS_SHARE else DensityType.PART_SOLID
