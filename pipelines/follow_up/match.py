"""Which lesion of the earlier study is which of this one: by where the registration says that it lies now."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from pipelines.follow_up.lesions import Lesion
from pipelines.registration.points import is_within, to_fixed, to_moving
from pipelines.terms import Registration, Volume

APART_BENT_MM, APART_RIGID_MM = 10.0, 20.0
"""How far a registration may miss, with a field and without one; half the longer diameter is added to it."""
FAR = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """pairs: (earlier, now, mm between them). gone, new: what has no other, though the other study shows the place.
    beyond: (earlier, now): what the other study does not show."""

    pairs: tuple[tuple[Lesion, Lesion, float], ...]
    gone: tuple[Lesion, ...]
    new: tuple[Lesion, ...]
    beyond: tuple[tuple[Lesion, ...], tuple[Lesion, ...]]


def match_lesions(
    earlier: Sequence[Lesion], now: Sequence[Lesion], registration: Registration, fixed: Volume, moving: Volume
) -> Matches:
    """One to one, of one kind, with the least sum of distances. fixed, moving: the volumes of this and of the earlier
    study, between which `registration` leads."""
    places = to_fixed(_centers(earlier), registration)
    pairs = _pair(earlier, now, places, APART_RIGID_MM if registration.field is None else APART_BENT_MM)
    taken = {id(lesion) for one, other, _ in pairs for lesion in (one, other)}
    shown = is_within(places, fixed), is_within(to_moving(_centers(now), registration), moving)
    left = [
        [(lesion, bool(seen)) for lesion, seen in zip(lesions, known, strict=True) if id(lesion) not in taken]
        for lesions, known in zip((earlier, now), shown, strict=True)
    ]
    gone, new = (tuple(lesion for lesion, seen in part if seen) for part in left)
    lost, unseen = (tuple(lesion for lesion, seen in part if not seen) for part in left)
    return Matches(tuple(pairs), gone, new, (lost, unseen))


def _pair(
    earlier: Sequence[Lesion], now: Sequence[Lesion], places: NDArray[np.float64], apart_mm: float
) -> list[tuple[Lesion, Lesion, float]]:
    if not (earlier and now):
        return []
    away = np.linalg.norm(places[:, None] - _centers(now)[None], axis=-1)
    reach = apart_mm + np.maximum([[one.long_mm] for one in earlier], [other.long_mm for other in now]) / 2
    alike = np.array([[one.segment.kind == other.segment.kind for other in now] for one in earlier])
    cost = np.where(alike & (away <= reach), away, FAR)
    rows, columns = linear_sum_assignment(cost)
    return [(earlier[n], now[m], float(away[n, m])) for n, m in zip(rows, columns, strict=True) if cost[n, m] < FAR]


def _centers(lesions: Sequence[Lesion]) -> NDArray[np.float64]:
    return np.array([lesion.center for lesion in lesions], dtype=np.float64).reshape(-1, 3)
