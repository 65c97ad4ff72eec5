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
"""Air around a patient is below this on average; lung, even emphysematous, is rarely so where it meets the edge."""

AROUND_SHARE = 0.6
"""No lung makes more of the edge of a plane."""


def find_outside(hu: NDArray[np.float32], spacing_mm: float) -> Mask:
    """What surrounds the patient in `hu` (k, j, i along +z, +y, +x; isotropic; NaN where unknown): air and table.

    Plane by plane, all that is not body and reaches the in-plane edge of the known, if it has mostly air there as
    around a patient, or makes most of the edge: a lung that a small field of view cuts stays inside.
    """
    known = np.isfinite(hu)
    solid = np.where(known, hu, -1000.0) > TISSUE_HU
    reach = max(1, round(3.0 / spacing_mm))
    solid = keep_largest(np.asarray(ndimage.binary_opening(solid, iterations=reach)))
    solid |= ndimage.binary_closing(np.pad(solid, 2 * reach), iterations=2 * reach)[(slice(2 * reach, -2 * reach),) * 3]
    in_plane = np.zeros((3, 3, 3), dtype=bool)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    labels, count = ndimage.label(known & ~solid, structure=in_plane)
    edge = known & ~ndimage.binary_erosion(known, in_plane)
    at_edge = np.bincount(labels[edge], minlength=count + 1)
    gas_at_edge = np.bincount(labels[edge & (np.where(known, hu, 0.0) < OUTER_AIR_HU)], minlength=count + 1)
    around = np.zeros(count + 1, dtype=np.int64)
    for k, plane in enumerate(labels):
        around[np.unique(plane)] = np.count_nonzero(edge[k])
    outer = (at_edge > 0) & ((2 * gas_at_edge > at_edge) | (at_edge > AROUND_SHARE * around))
    outer[0] = False
    return np.asarray(outer[labels])
