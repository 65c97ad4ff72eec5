"""Right and left: the network does not tell them, the plane of the brain's symmetry does.

The paired nuclei give a first plane; their line is not quite across, since no brain is quite symmetric. The plane that
is kept mirrors most of the whole brain onto voxels of the same structure.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from pipelines.brain_structures.structures import NUCLEI, STRUCTURES
from pipelines.errors import UnsuitableVolume
from pipelines.steps.components import label_components

Labels = NDArray[np.uint8]
LEFT = 32
"""Added to the class of what lies on the left; right and middle keep the network's number."""
LEAST_PAIRS = 3
ALIKE = 0.3
"""Both of a pair count when the smaller one has at least this share of the larger."""
ASKEW_MM = 8.0
"""The middle of no pair lies farther from the plane between them all."""
SAMPLES = 40_000
"""Voxels of brain, evenly taken, that are mirrored to judge a plane."""
SYMMETRIC = 0.35
"""Least share of them that meets its own structure: 0.64 in a real head, 0.53 there with a plane 5 degrees off."""
UPRIGHT = 0.7
"""Least part of the plane's normal from right to left: a head lies within 45 degrees of its patient's position."""


@dataclass(frozen=True, slots=True, eq=False)
class Midplane:
    """normal: unit vector to the left, in indices (k, j, i) of the cube; offset: of the plane along it."""

    normal: NDArray[np.float64]
    offset: float

    def measure(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Distance of every voxel from the plane, positive on the left."""
        k, j, i = (
            np.arange(n, dtype=np.float32) * np.float32(part) for n, part in zip(shape, self.normal, strict=True)
        )
        distance: NDArray[np.float32] = k[:, None, None] + j[None, :, None] + i[None, None] - np.float32(self.offset)
        return distance


def find_midplane(labels: Labels) -> Midplane:
    """The plane between right and left of `labels` (k to the left, 1 mm). Raises UnsuitableVolume where it cannot be
    told: few paired nuclei are seen, they do not lie about one plane, or the brain does not either."""
    first = between_nuclei(labels)
    places = np.argwhere(labels > 0)
    places = places[:: max(1, len(places) // SAMPLES)]
    here = labels[tuple(places.T)]

    def miss(parameters: NDArray[np.float64]) -> float:
        mirrored = mirror(places, _to_plane(parameters))
        inside = ((mirrored >= 0) & (mirrored < labels.shape)).all(axis=1)
        return -float(np.count_nonzero(labels[tuple(mirrored[inside].T)] == here[inside])) / len(places)

    start = np.array([first.normal[1] / first.normal[0], first.normal[2] / first.normal[0], first.offset])
    simplex = start + np.vstack([np.zeros(3), np.diag([0.08, 0.08, 4.0])])
    found = optimize.minimize(
        miss, start, method="Nelder-Mead", options={"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-4}
    )
    plane = _to_plane(found.x)
    if -found.fun < SYMMETRIC or plane.normal[0] < UPRIGHT:
        raise UnsuitableVolume("what was found is not alike on both sides: right and left cannot be told")
    return plane


def between_nuclei(labels: Labels) -> Midplane:
    """The plane across the lines between the nuclei of either side. Raises UnsuitableVolume where they make none."""
    pairs = [pair for label in NUCLEI if (pair := find_pair(labels, label)) is not None]
    if len(pairs) < LEAST_PAIRS:
        raise UnsuitableVolume(f"only {len(pairs)} paired nuclei are seen on both sides: right and left cannot be told")
    rights, lefts = (np.array(side) for side in zip(*pairs, strict=True))
    normal = (lefts - rights).sum(axis=0)
    normal /= np.linalg.norm(normal)
    places = (lefts + rights) / 2 @ normal
    offset = float(np.median(places))
    if normal[0] < UPRIGHT or float(np.abs(places - offset).max()) > ASKEW_MM:
        raise UnsuitableVolume("the paired nuclei do not lie about one plane: right and left cannot be told")
    return Midplane(normal, offset)


def mirror(places: NDArray[np.int64], plane: Midplane) -> NDArray[np.int64]:
    """The voxels nearest to the images of `places` (n, 3) in the mirror `plane`."""
    distance = places @ plane.normal - plane.offset
    return np.rint(places - 2 * distance[:, None] * plane.normal).astype(np.int64)


def _to_plane(parameters: NDArray[np.float64]) -> Midplane:
    """The plane of two slopes and the distance at which it crosses its own normal."""
    normal = np.array([1.0, parameters[0], parameters[1]])
    return Midplane(normal / np.linalg.norm(normal), float(parameters[2]))


def find_pair(labels: Labels, label: int) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Centers (k, j, i) of the two large parts of `label`, the right one first; None unless there are two alike."""
    parts, sizes = label_components(labels == label)
    order = np.argsort(sizes, kind="stable")[::-1][:2]
    if len(order) < 2 or sizes[order[1]] < max(1, ALIKE * sizes[order[0]]):
        return None
    one, other = (np.argwhere(parts == n).mean(axis=0) for n in order)
    return (one, other) if one[0] < other[0] else (other, one)


def tell_sides(labels: Labels, plane: Midplane) -> Labels:
    """`labels` with LEFT added to the paired structures on the left."""
    paired = np.zeros(256, dtype=bool)
    paired[[structure.label for structure in STRUCTURES if structure.paired]] = True
    left = (plane.measure(labels.shape) > 0) & paired[labels]
    return np.asarray(labels + np.uint8(LEFT) * left, dtype=np.uint8)
