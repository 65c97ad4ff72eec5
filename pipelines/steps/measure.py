"""Numbers out of a mask: count, mean, share below a threshold; plane by plane, so that memory stays small."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.terms import Mask


@dataclass(frozen=True, slots=True)
class Density:
    """What `voxels` voxels of CT say. total_hu: their sum; low: how many lie below the threshold asked for."""

    voxels: int
    total_hu: float
    low: int

    @property
    def mean_hu(self) -> float:
        """Mean in HU; NaN of no voxels."""
        return self.total_hu / self.voxels if self.voxels else float("nan")

    @property
    def low_percent(self) -> float:
        """Share below the threshold, 0..100; NaN of no voxels."""
        return 100.0 * self.low / self.voxels if self.voxels else float("nan")

    def __add__(self, other: "Density") -> "Density":
        return Density(self.voxels + other.voxels, self.total_hu + other.total_hu, self.low + other.low)


def measure_density(hu: NDArray[np.float32], mask: Mask, low_below_hu: float) -> Density:
    """The density of `hu` (k, j, i) within `mask` of the same shape."""
    total = Density(0, 0.0, 0)
    for plane, inside in zip(hu, mask, strict=True):
        if inside.any():
            values = plane[inside]
            total += Density(values.size, float(values.sum(dtype=np.float64)), int((values < low_below_hu).sum()))
    return total
