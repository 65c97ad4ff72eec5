"""Tubes in a voxel grid: airways, vessels that branch until they fill a lung, ribs."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Coverage = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Tube:
    """A straight piece with round ends: start and end (x, y, z) in mm, radii in mm at either end."""

    start: Points
    end: Points
    radius: float
    end_radius: float


@dataclass(frozen=True, slots=True, eq=False)
class Lattice:
    """Where voxel centers lie: x (i), y (j), z (k) in mm, each ascending and evenly spaced."""

    x: Points
    y: Points
    z: Points

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i)."""
        return len(self.z), len(self.y), len(self.x)


def follow(points: Iterable[tuple[float, float, float]], radii: Iterable[float]) -> list[Tube]:
    """Tubes through `points` (x, y, z in mm), one after the other."""
    places, sizes = [np.array(point, dtype=float) for point in points], list(radii)
    return [Tube(places[n], places[n + 1], sizes[n], sizes[n + 1]) for n in range(len(places) - 1)]


def cover(tubes: Iterable[Tube], lattice: Lattice) -> Coverage:
    """Share (0..1) of each voxel (k, j, i) that lies in a tube: a soft edge about one pixel wide."""
    covered = np.zeros(lattice.shape, dtype=np.float32)
    pixel = float(lattice.x[1] - lattice.x[0])
    for tube in tubes:
        box = _find_box(tube, lattice, pixel)
        if all(side.start < side.stop for side in box):
            distance, radius = _measure(tube, lattice, box)
            # A tube thinner than a pixel fills only that part of it: dim, as partial volume makes it.
            share = np.minimum(1.0, (2.0 * radius / pixel) ** 1.5)
            part = np.clip((radius - distance) / pixel + 0.5, 0.0, 1.0) * share
            np.maximum(covered[box], part.astype(np.float32), out=covered[box])
    return covered


def grow_tree(root: Points, inside: Points, radius: float, rng: np.random.Generator, least: int = 3) -> list[Tube]:
    """A tree from `root` (x, y, z) that reaches every part of the cloud `inside` (n, 3), in mm.

    Each branch leads to the middle of its share of the cloud and splits it across the longest extent. Radii
    follow Murray's law: the cubes of the daughters' add up to the mother's.
    """
    tubes: list[Tube] = []
    waiting = [(np.asarray(root, dtype=float), inside, radius)]
    while waiting:
        start, cloud, size = waiting.pop()
        halves = _split(cloud, rng)
        for half in halves:
            daughter = size * (len(half) / len(cloud)) ** (1.0 / 3.0)
            end = start + 0.62 * (half.mean(axis=0) - start) + rng.normal(0.0, 1.0, 3)
            tubes.append(Tube(start, end, min(size, 1.25 * daughter), daughter))
            if len(half) >= 2 * least:
                waiting.append((end, half, daughter))
    return tubes


def _split(cloud: Points, rng: np.random.Generator) -> tuple[Points, Points]:
    """The cloud in two unequal parts across its longest extent."""
    centered = cloud - cloud.mean(axis=0)
    axis = np.linalg.eigh(centered.T @ centered)[1][:, -1]
    along = centered @ axis
    at = np.quantile(along, rng.uniform(0.35, 0.65))
    return cloud[along <= at], cloud[along > at]


def _find_box(tube: Tube, lattice: Lattice, pixel: float) -> tuple[slice, slice, slice]:
    reach = max(tube.radius, tube.end_radius) + pixel
    low, high = np.minimum(tube.start, tube.end) - reach, np.maximum(tube.start, tube.end) + reach
    sides = []
    for axis, places in ((2, lattice.z), (1, lattice.y), (0, lattice.x)):
        first, last = np.searchsorted(places, (low[axis], high[axis]))
        sides.append(slice(int(first), int(last)))
    k, j, i = sides
    return k, j, i


def _measure(tube: Tube, lattice: Lattice, box: tuple[slice, slice, slice]) -> tuple[Points, Points]:
    """Distance of the box's voxels (k, j, i) from the tube's axis, and its radius at the nearest point."""
    k, j, i = box
    offset = (
        lattice.x[i][None, None, :] - tube.start[0],
        lattice.y[j][None, :, None] - tube.start[1],
        lattice.z[k][:, None, None] - tube.start[2],
    )
    axis = tube.end - tube.start
    length2 = max(float(axis @ axis), 1e-9)
    along = np.clip(sum(d * a for d, a in zip(offset, axis, strict=True)) / length2, 0.0, 1.0)
    distance2 = sum((d - along * a) ** 2 for d, a in zip(offset, axis, strict=True))
    return np.sqrt(distance2), tube.radius + along * (tube.end_radius - tube.radius)
