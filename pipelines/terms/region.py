"""Where a finding lies when a mask does not say it, and how large it is in one plane.

Places are index coordinates (k, j, i) of the volume: voxel n has its center at n and reaches from n - 0.5 to n + 0.5.
Volume.affine maps them to millimeters, whatever the stack's orientation.
"""

from dataclasses import dataclass

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
