"""The shape of a chest, plane by plane: what tissue is where, in mm of the patient (LPS; z = 0 at the lowest plane).

Sizes are those of an average adult lying on the back, arms up. One lung is not two balls: it has an apex, a dome
of the diaphragm below, the heart's notch and the hollow of the mediastinum.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Plane = NDArray[np.bool_]

LEVELS = np.array([0.0, 60.0, 120.0, 170.0, 210.0, 235.0, 252.0, 262.0, 266.0])
"""z in mm at which LUNG is given; the lungs end at the last."""
LUNG = {
    "center": np.array([48, 48, 48, 50, 51, 51, 49, 47, 46]),
    "lateral": np.array([83, 84, 80, 67, 49, 36, 23, 10, 0.5]),
    "medial": np.array([150, 150, 140, 105, 64, 40, 24, 10, 0.5]),
    "depth": np.array([86, 87, 85, 77, 62, 47, 31, 13, 0.5]),
    "back": np.array([6, 6, 8, 14, 22, 27, 30, 32, 33]),
}
"""Each lung's outline: x of its middle from the midline, half widths out and inward, half depth, y of its middle."""

BODY_LEVELS = np.array([0.0, 100.0, 180.0, 230.0, 262.0, 300.0])
BODY = {
    "width": np.array([158, 160, 166, 176, 182, 178]),
    "depth": np.array([114, 114, 110, 102, 92, 84]),
    "back": np.array([5, 5, 6, 12, 18, 22]),
}
CHEST_LEVELS = np.array([0.0, 80.0, 120.0, 150.0, 180.0, 210.0, 240.0, 300.0])
MEDIASTINUM = {
    "width": np.array([36, 38, 40, 40, 37, 34, 31, 34]),
    "depth": np.array([46, 48, 50, 54, 52, 46, 40, 40]),
    "back": np.array([16, 12, 4, 2, 6, 12, 18, 22]),
}


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One plane's coordinates: x (1, i) and y (j, 1) in mm, at the height z."""

    x: Field
    y: Field
    z: float

    def ellipse(self, x: float, y: float, half_width: float, half_depth: float, power: float = 2.0) -> Plane:
        """The pixels within a (super)ellipse about (x, y)."""
        away = (np.abs(self.x - x) / half_width) ** power + (np.abs(self.y - y) / half_depth) ** power
        inside: Plane = away <= 1.0
        return inside

    def ball(self, center: tuple[float, float, float], radii: tuple[float, float, float], turn: float = 0.0) -> Plane:
        """The pixels within an ellipsoid, turned by `turn` radians about z."""
        room = 1.0 - ((self.z - center[2]) / radii[2]) ** 2
        if room <= 0.0:
            return self.nothing
        x, y = self.x - center[0], self.y - center[1]
        along, across = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
        inside: Plane = (along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= room
        return inside

    @property
    def nothing(self) -> Plane:
        """No pixel at all."""
        return np.zeros((self.y.shape[0], self.x.shape[1]), dtype=bool)


def measure(table: dict[str, NDArray[np.float64]], levels: NDArray[np.float64], z: float) -> dict[str, float]:
    """The sizes of `table` at the height z, linear between its levels."""
    return {name: float(np.interp(z, levels, sizes)) for name, sizes in table.items()}


def find_body(level: Level, shrink: float = 0.0) -> Plane:
    """The pixels of the body, `shrink` mm below its skin."""
    size = measure(BODY, BODY_LEVELS, level.z)
    return level.ellipse(0.0, size["back"], size["width"] - shrink, size["depth"] - shrink, 2.3)


def find_cavity(level: Level, side: int, grow: float = 0.0) -> Plane:
    """The pixels within the ribs on one side (-1 right, +1 left), `grow` mm larger; empty above the apex."""
    if level.z >= LEVELS[-1] + grow:
        return level.nothing
    size = measure(LUNG, LEVELS, level.z)
    outward = level.x * side - size["center"]
    half = np.where(outward > 0, size["lateral"] + grow, size["medial"] + grow)
    away = (np.abs(outward) / half) ** 2.2 + (np.abs(level.y - size["back"]) / (size["depth"] + grow)) ** 2.2
    inside: Plane = (away <= 1.0) & (level.x * side > 0.0)
    return inside


def find_diaphragm(level: Level, side: int) -> Plane:
    """The pixels that lie below the dome of the diaphragm; the right dome stands higher."""
    peak, x = (84.0, -66.0) if side < 0 else (70.0, 74.0)
    away = ((level.x - x) / 78.0) ** 2 + ((level.y + 8.0) / 88.0) ** 2
    below: Plane = level.z < np.maximum(peak - 66.0 * away**1.15, 13.0)
    return below


HEART = ((31.0, -24.0, 82.0), (66.0, 46.0, 54.0), 0.55)
"""Center, radii and turn: its tip points to the left, forward and down."""


def find_heart(level: Level, shrink: float = 0.0) -> Plane:
    """The pixels of the heart, `shrink` mm below its surface."""
    center, radii, turn = HEART
    x, y, z = (radius - shrink for radius in radii)
    return level.ball(center, (x, y, z), turn)


def find_spine(level: Level) -> Plane:
    """The pixels of the vertebrae with the muscles on both sides of them."""
    return level.ellipse(0.0, 74.0, 27.0, 36.0, 2.4) | level.ellipse(0.0, 99.0, 37.0, 21.0, 3.0)


def find_mediastinum(level: Level) -> Plane:
    """The pixels between the lungs: heart, great vessels, spine, and the thin wall behind the breastbone."""
    size = measure(MEDIASTINUM, CHEST_LEVELS, level.z)
    between = level.ellipse(0.0, size["back"], size["width"] * 0.8, size["depth"], 2.4)
    spine = find_spine(level)
    aorta = level.ellipse(21.0, 46.0, 17.0, 17.0)
    wall = np.abs(level.x - 5.0) < 3.0
    hila = level.ball((-38.0, 12.0, 138.0), (20.0, 15.0, 26.0)) | level.ball((40.0, 14.0, 144.0), (18.0, 15.0, 24.0))
    middle: Plane = find_heart(level, -3.0) | between | spine | wall | hila | (aorta & (level.z < 205.0))
    return middle


def find_lung(level: Level, side: int) -> Plane:
    """The pixels of one lung (-1 right, +1 left) with all that runs in it."""
    return find_cavity(level, side) & ~find_diaphragm(level, side) & ~find_mediastinum(level)
