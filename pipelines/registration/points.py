"""Places of a patient from one volume to another, by a registration."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.registration.matrix import invert
from pipelines.terms import Field, Mask, Registration, Volume

Points = NDArray[np.float64]

STEPS = 50
NEAR_MM = 1e-3


def to_moving(points: Points, registration: Registration) -> Points:
    """Points (n, 3) of the fixed volume in LPS mm, where they are in the moving one."""
    return _apply(invert(registration.matrix), points + find_displacements(points, registration.field))


def to_fixed(points: Points, registration: Registration) -> Points:
    """Points (n, 3) of the moving volume in LPS mm, where they are in the fixed one.

    The field is undone by iteration, which a field that does not fold and changes slowly allows.
    """
    laid = _apply(registration.matrix, points)
    found = laid
    for _ in range(STEPS):
        found, last = laid - find_displacements(found, registration.field), found
        if float(np.abs(found - last).max(initial=0.0)) < NEAR_MM:
            break
    return found


def find_displacements(points: Points, field: Field | None) -> Points:
    """The field's vectors (n, 3) in mm at `points`; beyond it those of its edge, zero without one."""
    if field is None:
        return np.zeros_like(points)
    index = _apply(invert(field.affine), points).T
    parts = [
        ndimage.map_coordinates(field.vectors[..., n], index, order=1, mode="nearest", output=np.float64)
        for n in range(3)
    ]
    return np.stack(parts, axis=1)


def is_within(points: Points, volume: Volume) -> Mask:
    """Which of the points (n, 3) in LPS mm lie in voxels of `volume`: (n,)."""
    index = _apply(invert(volume.affine), points)
    return np.asarray(((index >= -0.5) & (index <= np.array(volume.shape) - 0.5)).all(axis=1))


def _apply(matrix: NDArray[np.float64], points: Points) -> Points:
    moved: Points = points @ matrix[:3, :3].T + matrix[:3, 3]
    return moved
