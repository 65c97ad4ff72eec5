"""Outlines of a mask: closed curves that have every pixel of it inside and every other pixel outside.

A pixel counts as where its center is. A curve starts as the middles of the pixels' edges between inside and outside.
Each edge has a pixel's center at either hand, and points are dropped as long as the curve passes between all these
pairs: in the corridor between them lies no center, so none changes sides, and what is filled again is the mask.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.terms import Mask

Points = NDArray[np.float32]
"""Shape (n, 2): column and row in PIXEL units (PS3.3 C.10.5.1.2): 0, 0 is the top left corner of the top left pixel,
1, 1 its bottom right corner; values reach from 0, 0 to Columns, Rows."""
Places = NDArray[np.float64]
"""Shape (n, 2): the same before it is written."""
Point = tuple[float, float]
"""One place, or the way from one to another."""

REACH = 0.96
"""Of the way from an edge to the centers beside it: so wide is the corridor, so that rounding decides nothing."""

SHARE_OF_SIGHT = 0.8
"""How far to go of what is seen straight ahead: from the very end little is seen of what follows."""

STEPS = np.array([[0, 1], [1, 0], [0, -1], [-1, 0]])
"""Row and column of one step to the right, down, to the left, up: the mask is at the right hand of who walks so."""


@dataclass(frozen=True, slots=True, eq=False)
class _Ring:
    """The edges around one part or hole in walking order: the middle of each, and the ends of the corridor there: near
    the center of the pixel inside (right hand), and of that outside (left hand), but never off the image."""

    middles: Places
    inside: Places
    outside: Places


def trace_outlines(mask: Mask) -> list[Points]:
    """The closed outlines of a plane `mask` (rows, columns): one around each part, one around each hole in it.

    The last point of each is its first. Parts that meet in a corner alone are apart; holes that do are one.
    Filled by the even-odd rule, all of them together give exactly `mask`; no curve is further than a pixel from the
    edge that it stands for. None when the mask is empty.
    """
    if not mask.any():
        return []
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shift = np.array([columns[0], rows[0]])
    size = np.array(mask.shape[::-1])
    rings = (_measure(edges, shift, size) for edges in _walk(part))
    return [_simplify(ring).astype(np.float32) for ring in rings]


def _walk(mask: Mask) -> Iterator[NDArray[np.intp]]:
    """Rings of edges between inside and outside in walking order, (n, 3): direction, row and column of the corner
    where each starts."""
    edges = _find_edges(mask)
    successors = _find_successors(edges).tolist()
    left = edges.ravel().copy()
    for start in np.flatnonzero(left).tolist():
        if not left[start]:
            continue
        ring = [start]
        while (following := successors[ring[-1]]) != start:
            ring.append(following)
        left[ring] = False
        yield np.stack(np.unravel_index(np.array(ring), edges.shape), axis=1)


def _measure(edges: NDArray[np.intp], shift: NDArray[np.intp], size: NDArray[np.intp]) -> _Ring:
    """Places of the `edges` of one ring in an image of `size` (columns, rows); they count from `shift`."""
    middles = (edges[:, 1:] + STEPS[edges[:, 0]] / 2)[:, ::-1] + shift
    to_right = REACH / 2 * STEPS[(edges[:, 0] + 1) % 4][:, ::-1]
    return _Ring(middles, middles + to_right, np.clip(middles - to_right, 0, size))


def _find_edges(mask: Mask) -> Mask:
    """(4, rows + 1, columns + 1): True where an edge starts at that corner of pixels in that direction of STEPS."""
    outside = np.pad(mask, 1)
    edges = np.zeros((4, mask.shape[0] + 1, mask.shape[1] + 1), dtype=bool)
    edges[0, :-1, :-1] = mask & ~outside[:-2, 1:-1]
    edges[1, :-1, 1:] = mask & ~outside[1:-1, 2:]
    edges[2, 1:, 1:] = mask & ~outside[2:, 1:-1]
    edges[3, 1:, :-1] = mask & ~outside[1:-1, :-2]
    return edges


def _find_successors(edges: Mask) -> NDArray[np.intp]:
    """Flat index of an edge -> that of the next one. Where two start, the one to the right stays at the same pixel."""
    successors = np.full(edges.shape, -1, dtype=np.intp)
    for direction, step in enumerate(STEPS):
        row, column = np.nonzero(edges[direction])
        end_row, end_column = row + step[0], column + step[1]
        for turn in (-1, 0, 1):  # the last one written wins: to the right
            after = (direction + turn) % 4
            goes = edges[after, end_row, end_column]
            index = np.ravel_multi_index((np.full(len(row), after), end_row, end_column), edges.shape)
            successors[direction, row[goes], column[goes]] = index[goes]
    return successors.ravel()


def _simplify(ring: _Ring) -> Places:
    """A closed curve through the corridor of a ring with few points: each nearly as far as a straight line goes."""
    gates = list(zip(ring.inside.tolist(), ring.outside.tolist(), strict=True))
    start = tuple(ring.middles[0].tolist())
    gates.append(gates[0])
    points, edge = [start], 0
    while edge < len(gates) - 1:
        edge, point = _reach(gates, edge, points[-1], start)
        points.append(point)
    return np.array(points)


def _reach(gates: list[tuple[Point, Point]], edge: int, point: Point, start: Point) -> tuple[int, Point]:
    """An edge far along the corridor of `gates`, and a place on it that is seen from `point` on `edge` straight through
    all gates between. The last gate is the first again: there the curve ends at `start`, where it began.

    Plain arithmetic, for the way from point to point is short: arrays would take ten times as long.
    """
    x, y = point
    right, left = _from(point, gates[edge + 1][0]), _from(point, gates[edge + 1][1])
    seen = edge + 1
    for n in range(edge + 2, len(gates)):
        inside, outside = gates[n]
        a, b = (inside[0] - x, inside[1] - y), (outside[0] - x, outside[1] - y)
        narrower_right = a if _turn(right, a) < 0 else right
        narrower_left = b if _turn(left, b) > 0 else left
        if _turn(narrower_left, narrower_right) < 0:
            break
        right, left, seen = narrower_right, narrower_left, n
    if seen == len(gates) - 1:
        end = _from(point, start)
        if _turn(left, end) >= 0 and _turn(end, right) >= 0:
            return seen, start
        seen -= 1  # the gate before the last one sees all of it
    last = edge + max(1, round(SHARE_OF_SIGHT * (seen - edge)))
    return last, _meet(gates[last], point, _bisect(left, right))


def _meet(gate: tuple[Point, Point], point: Point, along: Point) -> Point:
    """Where the line from `point` in the direction `along` goes through `gate`."""
    inside, outside = gate
    across = _from(outside, inside)
    share = min(max(_turn(_from(outside, point), along) / _turn(across, along), 0.0), 1.0)
    return outside[0] + share * across[0], outside[1] + share * across[1]


def _from(point: Point, other: Point) -> Point:
    return other[0] - point[0], other[1] - point[1]


def _turn(one: Point, other: Point) -> float:
    """Positive when the direction `other` is to the right of `one`: rows run down."""
    return one[0] * other[1] - one[1] * other[0]


def _bisect(one: Point, other: Point) -> Point:
    lengths = math.hypot(*one), math.hypot(*other)
    return one[0] / lengths[0] + other[0] / lengths[1], one[1] / lengths[0] + other[1] / lengths[1]
