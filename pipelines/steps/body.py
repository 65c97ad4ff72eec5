"""Where the patient is in a CT: not the table, not the air around."""

import numpy as np
from numpy.typing import NDArray

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
