"""A chest CT that nobody has to give consent to: made from shapes and seeded chance, its truth known to the voxel.

It is no patient and proves nothing about a model's quality; it shows that a study goes in and results come out.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from node.demo.tissue import (
    BLOOD,
    CARTILAGE,
    CORTEX,
    MARROW,
    WALL,
    make_airways,
    make_great_vessels,
    make_ribs,
    make_shoulders,
    paint_plane,
)
from node.demo.torso import Field, Level
from node.demo.tubes import Coverage, Lattice, Points, Tube, cover, grow_tree
from pipelines.terms import Affine

ROWS = COLUMNS = 352
PLANES = 116
SPACING_MM = (2.5, 1.1, 1.1)
"""Along k, j and i."""

NODULE_RADII_MM = (3.5, 5.0, 7.0, 9.5)
NODULE_HU, VESSEL_HU, AIRWAY_WALL_HU, LUMEN_HU = 35.0, 45.0, 30.0, -985.0
NOISE_HU = 24.0

HILA = {1: ((-42.0, 14.0, 140.0), (-36.0, 18.0, 118.0)), 2: ((44.0, 18.0, 146.0), (37.0, 20.0, 120.0))}
"""Where artery (with bronchus) and vein enter the right (1) and the left (2) lung."""


@dataclass(frozen=True, slots=True)
class Nodule:
    """A ball in the lung: center (x, y, z) in mm (LPS), volume in mL."""

    center: tuple[float, float, float]
    volume_ml: float


@dataclass(frozen=True, slots=True, eq=False)
class Phantom:
    """voxels: int16 (k, j, i) in HU. affine: (k, j, i, 1) -> LPS mm. lungs: uint8, 1 right, 2 left, with vessels and
    nodules, without windpipe and main bronchi; right_ml, left_ml their volumes."""

    voxels: NDArray[np.int16]
    affine: Affine
    lungs: NDArray[np.uint8]
    right_ml: float
    left_ml: float
    nodules: tuple[Nodule, ...]


def make_chest(seed: int = 0) -> Phantom:
    """The chest that `seed` makes; another seed has other vessels, nodules and noise in the same body."""
    rng = np.random.default_rng(seed)
    lattice = _make_lattice()
    hu, lungs = _paint_planes(lattice, rng)
    _paint_firm(hu, lungs, lattice)
    _paint_trees(hu, lungs, lattice, rng)
    nodules = _place_nodules(lungs, lattice, rng)
    _mix(hu, cover([Tube(at, at, radius, radius) for at, radius in nodules], lattice), NODULE_HU)
    voxel_ml = float(np.prod(SPACING_MM)) / 1000.0
    right, left = (float(np.count_nonzero(lungs == label)) * voxel_ml for label in (1, 2))
    truth = tuple(Nodule((float(x), float(y), float(z)), 4e-3 / 3 * np.pi * r**3) for (x, y, z), r in nodules)
    return Phantom(_expose(hu, rng), _make_affine(lattice), lungs, right, left, truth)


def _make_lattice() -> Lattice:
    dz, dy, dx = SPACING_MM
    x = dx * np.arange(0.5 - COLUMNS / 2, COLUMNS / 2, dtype=np.float64)
    y = dy * np.arange(0.5 - ROWS / 2, ROWS / 2, dtype=np.float64)
    z = dz * np.arange(PLANES, dtype=np.float64)
    return Lattice(x, y, z)


def _make_affine(lattice: Lattice) -> Affine:
    affine = np.zeros((4, 4))
    affine[(2, 1, 0), (0, 1, 2)] = SPACING_MM
    affine[:, 3] = (lattice.x[0], lattice.y[0], lattice.z[0], 1.0)
    return affine


def _paint_planes(lattice: Lattice, rng: np.random.Generator) -> tuple[Field, NDArray[np.uint8]]:
    hu = np.empty(lattice.shape, dtype=np.float32)
    lungs = np.empty(lattice.shape, dtype=np.uint8)
    x, y = lattice.x[None, :].astype(np.float32), lattice.y[:, None].astype(np.float32)
    coarse = rng.normal(size=(PLANES // 4 + 2, ROWS // 8, COLUMNS // 8)).astype(np.float32)
    for k, z in enumerate(lattice.z):
        step, part = divmod(k, 4)
        grain = (1 - part / 4) * coarse[step] + part / 4 * coarse[step + 1]
        grain = ndimage.zoom(
            grain, (ROWS / grain.shape[0], COLUMNS / grain.shape[1]), order=1, grid_mode=True, mode="nearest"
        )
        hu[k], lungs[k] = paint_plane(Level(x, y, float(z)), grain / grain.std())
    return hu, lungs


def _paint_firm(hu: Field, lungs: NDArray[np.uint8], lattice: Lattice) -> None:
    """Bones, great vessels and large airways; what they take is no lung."""
    ribs, cartilage = make_ribs()
    airways = make_airways()
    layers = [
        (cartilage, 0.0, CARTILAGE),
        (ribs + make_shoulders(), 0.0, CORTEX),
        (ribs + make_shoulders(), 1.7, MARROW),
        (make_great_vessels(), 0.0, BLOOD),
        (airways, -1.8, AIRWAY_WALL_HU),
        (airways, 0.0, LUMEN_HU),
    ]
    for tubes, shrink, value in layers:
        share = cover([_shrink(tube, shrink) for tube in tubes], lattice)
        _mix(hu, share, value)
        lungs[share > 0.5] = 0


def _paint_trees(hu: Field, lungs: NDArray[np.uint8], lattice: Lattice, rng: np.random.Generator) -> None:
    """Arteries, veins and bronchi, which belong to the lung in which they branch."""
    vessels: list[Tube] = []
    bronchi: list[Tube] = []
    for label, (artery, vein) in HILA.items():
        cloud = _scatter(lungs == label, lattice, 1800, rng)
        vessels += grow_tree(np.array(artery), cloud[:1000], 7.5, rng)
        vessels += grow_tree(np.array(vein), cloud[1000:], 7.0, rng)
        bronchi += grow_tree(np.array(artery) + np.array((0.0, 4.0, 2.0)), cloud[:36], 5.5, rng)
    walls = [_shrink(tube, -1.2) for tube in bronchi]
    for tubes, value in ((walls, WALL), (vessels, VESSEL_HU), (bronchi, LUMEN_HU)):
        share = cover(tubes, lattice)
        share[lungs == 0] = 0.0
        _mix(hu, share, value)


def _scatter(inside: NDArray[np.bool_], lattice: Lattice, count: int, rng: np.random.Generator) -> Points:
    """`count` points (x, y, z) in mm, evenly at random in the mask `inside`."""
    k, j, i = np.unravel_index(rng.choice(np.flatnonzero(inside), count, replace=False), inside.shape)
    return np.stack([lattice.x[i], lattice.y[j], lattice.z[k]], axis=1)


def _place_nodules(lungs: NDArray[np.uint8], lattice: Lattice, rng: np.random.Generator) -> list[tuple[Points, float]]:
    """Center and radius of each nodule: wholly in a lung, on alternating sides, none near another."""
    thin = lungs[::2, ::4, ::4]
    placed: list[tuple[Points, float]] = []
    for number, radius in enumerate(NODULE_RADII_MM):
        room = ndimage.distance_transform_edt(thin == 1 + number % 2, sampling=(5.0, 4.4, 4.4)) > radius + 6.0
        while True:
            k, j, i = np.argwhere(room)[rng.integers(np.count_nonzero(room))] * (2, 4, 4)
            at = np.array([lattice.x[i], lattice.y[j], lattice.z[k]])
            if all(np.linalg.norm(at - other) > radius + more + 20.0 for other, more in placed):
                placed.append((at, radius))
                break
    return placed


def _mix(hu: Field, share: Coverage, value: float) -> None:
    """Paint `value` where `share` is 1, and in part where it is between 0 and 1."""
    for k in np.flatnonzero(share.any(axis=(1, 2))):
        hu[k] += share[k] * (value - hu[k])


def _shrink(tube: Tube, by: float) -> Tube:
    return Tube(tube.start, tube.end, tube.radius - by, tube.end_radius - by)


def _expose(hu: Field, rng: np.random.Generator) -> NDArray[np.int16]:
    """What a scanner makes of it: blurred by its optics, with noise that neighbors share; clipped to 12 bit."""
    image = np.empty(hu.shape, dtype=np.int16)
    planes = [*hu, hu[-1]]
    for k, (plane, following) in enumerate(pairwise(planes)):
        blurred = ndimage.gaussian_filter(0.8 * plane + 0.2 * following, 0.65)
        noise = ndimage.gaussian_filter(rng.standard_normal(plane.shape, dtype=np.float32), 0.55)
        image[k] = np.clip(np.rint(blurred + NOISE_HU / noise.std() * noise), -1024, 3071)
    return image
