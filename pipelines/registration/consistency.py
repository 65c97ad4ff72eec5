"""How far two registrations of the same two volumes, found in the two directions, are from undoing each other.

The inverse consistency error of a point x of the fixed volume: the distance in mm between x and where it comes to lie
when the one registration takes it to the moving volume and the other takes it back (Christensen and Johnson, Consistent
image registration, IEEE Trans Med Imaging 2001;20(7):568-582, doi:10.1109/42.932742). Right registrations have none;
but neither have two that are wrong alike, as two that move nothing.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from pipelines.registration.matrix import invert
from pipelines.registration.points import Points, is_within, to_moving
from pipelines.registration.prepare import Prepared, prepare
from pipelines.terms import Mask, Registration, Volume

NOTHING = -1.0
"""Stands where there is no value: no distance is negative."""
BODY_MM = 4.0
"""Of the voxels on which the patient is told from the air and the table around."""


def measure_inverse_errors(
    points: Points, there: Registration, back: Registration, moving: Volume
) -> NDArray[np.float64]:
    """Of points (n, 3) in LPS mm: (n,) in mm; NOTHING where `there` leads out of the voxels of `moving`, the volume
    that it moves, from which `back` leads to the volume of the points."""
    reached = to_moving(points, there)
    shown = is_within(reached, moving)
    errors = np.full(len(points), NOTHING)
    errors[shown] = np.linalg.norm(to_moving(reached[shown], back) - points[shown], axis=1)
    return errors


def draw_inverse_errors(
    fixed: Volume, moving: Volume, there: Registration, back: Registration, tell: Callable[[float], None]
) -> NDArray[np.float32]:
    """The error at each voxel of the patient in `fixed`: float32 (k, j, i) in mm; NOTHING beside the patient, and where
    `there` leads out of `moving`. `tell` is told the share done. Raises UnsuitableVolume."""
    body = prepare(fixed, BODY_MM)
    made = np.full(fixed.shape, NOTHING, np.float32)
    for k, points in enumerate(_place_planes(fixed)):
        inside = np.flatnonzero(_is_body(points, body))
        made[k].reshape(-1)[inside] = measure_inverse_errors(points[inside], there, back, moving)
        tell((k + 1) / len(made))
    return made


def _place_planes(volume: Volume) -> Iterator[Points]:
    """Of each plane the centers of its voxels (rows x columns, 3) in LPS mm."""
    _, rows, columns = volume.shape
    index = np.stack([axis.ravel() for axis in np.mgrid[:rows, :columns]], axis=1)
    first = index @ volume.affine[:3, 1:3].T + volume.affine[:3, 3]
    for k in range(len(volume.voxels)):
        yield first + k * volume.affine[:3, 0]


def _is_body(points: Points, body: Prepared) -> Mask:
    to_index = invert(body.grid.affine)
    index = np.rint(points @ to_index[:3, :3].T + to_index[:3, 3]).astype(np.intp)
    known = ((index >= 0) & (index < body.grid.shape)).all(axis=1)
    found = np.zeros(len(points), np.bool_)
    found[known] = body.body[tuple(index[known].T)]
    return found
