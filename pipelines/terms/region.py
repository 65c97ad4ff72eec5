"""Where a finding lies when a mask does not say it, and how large it is in one plane.

Places are index coordinates (k, j, i) of the volume: voxel n has its center at n and reaches from n - 0.5 to n + 0.5.
Volume.affine maps them to millimeters, whatever the stack's orientation.
"""

import math
from dataclasses import dataclass

import numpy as np

from pipelines.terms.label_mask import Mask

Point = tuple[float, float]

LESION = ("49755003", "SCT")
"""Morphologically Abnormal Structure, the Segmented Property Category (PS3.16 CID 7150) of what is a lesion."""


@dataclass(frozen=True, slots=True)
class Box:
    """A region with edges along the volume's axes. low, high: its corners in index coordinates (k, j, i).

    The one voxel (2, 3, 4) is Box((1.5, 2.5, 3.5), (2.5, 3.5, 4.5)).
    """

    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def __post_init__(self) -> None:
        if not all(low < high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError(f"a box has some extent along every axis, not {self.low} to {self.high}")

    @classmethod
    def around(cls, mask: Mask) -> "Box":
        """The least box that holds all voxels of `mask`, bool (k, j, i). Raises ValueError when it has none."""
        places = [np.flatnonzero(mask.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
        if not places[0].size:
            raise ValueError("an empty mask has no box")
        (k0, k1), (j0, j1), (i0, i1) = ((float(place[0]), float(place[-1])) for place in places)
        return cls((k0 - 0.5, j0 - 0.5, i0 - 0.5), (k1 + 0.5, j1 + 0.5, i1 + 0.5))

    def to_mask(self, shape: tuple[int, int, int]) -> Mask:
        """The voxels of a volume of `shape` whose centers are within."""
        mask = np.zeros(shape, np.bool_)
        reach = [
            slice(max(math.ceil(low), 0), max(math.floor(high) + 1, 0))
            for low, high in zip(self.low, self.high, strict=True)
        ]
        mask[tuple(reach)] = True
        return mask


@dataclass(frozen=True, slots=True)
class Axes:
    """The two diameters of a region in the plane `plane` of the volume, the second perpendicular to the first.

    long, short: their two end points, index coordinates (j, i). long_mm, short_mm: their lengths.
    """

    plane: int
    long: tuple[Point, Point]
    short: tuple[Point, Point]
    long_mm: float
    short_mm: float

    def __post_init__(self) -> None:
        if not self.long_mm >= self.short_mm > 0:
            raise ValueError(f"a long axis of {self.long_mm} mm goes with no short axis of {self.short_mm} mm")
