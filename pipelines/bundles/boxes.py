"""Boxes found again: which box of another reading is one of those that were reported."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEAST_OVERLAP = 0.1
"""Intersection over union from which two boxes are of the same thing: at this 3D detectors are compared (nnDetection,
Baumgartner et al. 2021, arXiv:2106.00817), since in three axes it falls much faster than in two."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a detector says of one image. boxes: float64 (n, 6), x0 y0 z0 x1 y1 z1 in voxels of the image. scores:
    float64 (n,), 0..1. classes: uint16 (n,)."""

    boxes: Floats
    scores: Floats
    classes: NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class Reported:
    """The boxes of a result, the most certain first. boxes: float64 (n, 2, 3), lower and upper corners in indices
    (k, j, i) of the volume. same: bool (n, class), which classes are called what the box is called."""

    boxes: Floats
    same: NDArray[np.bool_]


def to_logits(chances: Floats | float) -> Floats:
    """The logarithm of the odds of `chances`, 0..1: from -14 to 14."""
    p = np.clip(chances, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)))


def find_overlaps(boxes: Floats, others: Floats) -> Floats:
    """Intersection over union, 0..1, of each of `boxes` (n, 2, 3) with each of `others` (m, 2, 3): (n, m)."""
    low = np.maximum(boxes[:, None, 0], others[None, :, 0])
    high = np.minimum(boxes[:, None, 1], others[None, :, 1])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    sizes, other = ((some[:, 1] - some[:, 0]).prod(axis=1) for some in (boxes, others))
    whole = sizes[:, None] + other[None] - shared
    overlaps: Floats = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return overlaps


def find_again(reported: Reported, corners: Floats, found: Found, missing: float = 0.0) -> Floats:
    """The highest score (n,) with which each of `reported` was found again, `missing` where it was not. corners: of the
    boxes of `found` (m, 2, 3), in indices of the volume.

    Each of them counts for one reported box alone: that of its kind which it overlaps most, by LEAST_OVERLAP at least.
    """
    scores = np.full(len(reported.boxes), missing)
    if not len(scores) or not len(corners):
        return scores
    known = found.classes < reported.same.shape[1]
    same = reported.same[:, np.where(known, found.classes, 0)] & known
    overlaps = np.where(same, find_overlaps(reported.boxes, corners), 0.0)
    owners = overlaps.argmax(axis=0)
    close = overlaps.max(axis=0) >= LEAST_OVERLAP
    np.maximum.at(scores, owners[close], found.scores[close])
    return scores
