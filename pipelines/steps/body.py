"""Where the patient is in a CT: not the table, not the air around."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.steps.components import fill_holes, keep_largest
from pipelines.steps.morphology import close_ball, open_ball
from pipelines.terms import Mask

TISSUE_HU = -500.0


def find_body(hu: NDArray[np.float32], spacing_mm: float) -> Mask:
    """The patient in `hu` (k, j, i along +z, +y, +x; isotropic), the air inside the body included.

    The largest connected tissue after thin things (table, blankets, tubes) are opened away, filled plane by plane
    across +z. Lungs that reach the in-plane edge of the volume count as inside: the edge closes them.
    """
    solid = open_ball(hu > TISSUE_HU, 1.5 * spacing_mm, spacing_mm)
    solid = keep_largest(solid)
    if not solid.any():
        return solid
    return fill_holes(close_ball(solid, 6.0, spacing_mm), axis=0) | _inside_by_ring(solid)


def _inside_by_ring(solid: Mask) -> Mask:
    """Air that has tissue in front, behind, to the right and to the left of it in its own plane, or the volume's
    edge on one of these sides."""
    front = np.maximum.accumulate(solid, axis=1)
    behind = np.maximum.accumulate(solid[:, ::-1], axis=1)[:, ::-1]
    right = np.maximum.accumulate(solid, axis=2)
    left = np.maximum.accumulate(solid[:, :, ::-1], axis=2)[:, :, ::-1]
    return np.asarray(front & behind & right & left)


OUTER_AIR_HU = -940.0
GAS_SHARE = 0.25
"""Around a patient more than this share of the edge is such air; the rest is table and cloth. Of lung it is less."""
ROW_SHARE = 0.9
"""What makes more than this share of the front or back edge of a plane is around the patient: spine parts lungs."""


def find_outside(hu: NDArray[np.float32], spacing_mm: float) -> Mask:
    """What surrounds the patient in `hu` (k, j, i along +z, +y, +x; isotropic; NaN where unknown): air and table.

    Plane by plane, all that is not body and reaches the in-plane edge of the known, if enough of it there is air as
    around a patient, or it makes most of the front or back: a lung that a small field of view cuts stays inside.
    """
    known = np.isfinite(hu)
    gray = np.where(known, hu, -1000.0)
    reach = max(1, round(3.0 / spacing_mm))
    solid = keep_largest(np.asarray(ndimage.binary_opening(gray > TISSUE_HU, iterations=reach)))
    solid |= ndimage.binary_closing(np.pad(solid, 2 * reach), iterations=2 * reach)[(slice(2 * reach, -2 * reach),) * 3]
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    labels, count = _label(known & ~solid, in_plane)
    edge = known & ~ndimage.binary_erosion(known, in_plane)
    at_edge = np.bincount(labels[edge], minlength=count + 1)
    gas_at_edge = np.bincount(labels[edge & (gray < OUTER_AIR_HU)], minlength=count + 1)
    outer = np.asarray((at_edge > 0) & (gas_at_edge > GAS_SHARE * at_edge))
    for near in (1, -1):
        outer = outer | _find_rows(labels[:, ::near], known[:, ::near], count)
    outer[0] = False
    return np.asarray(outer[labels])


def _label(mask: Mask, structure: Mask) -> tuple[NDArray[np.int32], int]:
    labels: NDArray[np.int32]
    labels, count = ndimage.label(mask, structure=structure)
    return labels, int(count)


def _find_rows(labels: NDArray[np.int32], known: Mask, count: int) -> NDArray[np.bool_]:
    """By label: does it hold ROW_SHARE of the first known voxels of the columns (along j) of its plane?"""
    first = np.take_along_axis(labels, known.argmax(axis=1)[:, None], axis=1)[:, 0]
    seen = np.asarray(known.any(axis=1))
    columns = np.zeros(count + 1, dtype=np.int64)
    for k, plane in enumerate(labels):
        columns[np.unique(plane)] = np.count_nonzero(seen[k])
    held = np.bincount(first[seen], minlength=count + 1)
    return np.asarray((columns > 0) & (held > ROW_SHARE * columns))
