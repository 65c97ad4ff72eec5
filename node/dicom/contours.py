"""Contours of masks for radiotherapy: closed polygons along the edges of pixels, each hole joined to what is around it.

Along the edges, so that a polygon has the very area of its pixels, and whoever asks which pixel centers lie inside gets
the mask back. Through the centers, as some tools draw, a structure shrinks by half a pixel all around.

Holes by the keyhole technique (PS3.3 C.8.8.6.3): one polygon goes straight up from the top of the hole to the contour
above it, around the hole, and back the same way. It is a plain CLOSED_PLANAR contour: systems that fill polygon after
polygon keep the hole, as do those that combine them by XOR; two contours would be filled by the first, and the type
CLOSEDPLANAR_XOR is too new for many. Pixels that touch at a corner alone are apart. No two polygons overlap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.terms import Mask

Points = NDArray[np.intp]
"""Vertices, shape (n, 2): row and column of corners of pixels; (0, 0) is the outer corner of the first pixel."""

Indices = NDArray[np.intp]

RISING, FALLING = 9, 6
"""Codes of corners at which two pixels touch alone: upper left and lower right; upper right and lower left."""
LOWER_RIGHT = 8
TURNS = np.isin(np.arange(16), (1, 2, 4, 7, 8, 11, 13, 14, RISING, FALLING))
TOUCHES = np.isin(np.arange(16), (RISING, FALLING))
"""By code: whether the boundary turns at a corner, and whether it does so twice."""


@dataclass(frozen=True, slots=True, eq=False)
class _Corners:
    """Where the boundary turns, in order of plane, row, column. A corner at which two pixels touch alone is there
    twice, first for the pixel on its left.

    Corners 2n and 2n + 1 are the ends of a horizontal edge, from left to right; `across` is for each corner the other
    end of its vertical edge. `below` says whether the pixel to the lower right is in the mask.
    """

    planes: Indices
    rows: Indices
    columns: Indices
    across: Indices
    below: NDArray[np.bool_]


def trace_contours(masks: Mask, most_points: int) -> Iterator[tuple[int, Points]]:
    """(plane, polygon) for each part of `masks`, bool, shape (plane, row, column), in order of plane.

    Vertices follow each other without repeating the first. Where a polygon would have more than `most_points`, at
    least 4, its part is cut straight into strips, which then share their edges.
    """
    for plane, polygon in _trace(masks):
        if len(polygon) <= most_points:
            yield plane, polygon
        else:
            yield from ((plane, part) for part in _trace_strips(polygon, most_points))


def _trace_strips(polygon: Points, most_points: int) -> Iterator[Points]:
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    mask = _fill(polygon - low, high - low)
    axis = int(np.argmax(mask.shape))
    count = min(-(-len(polygon) // most_points), mask.shape[axis])
    for strip in np.array_split(np.arange(mask.shape[axis]), count):
        part = np.take(mask, strip, axis)[np.newaxis]
        start = low + ((strip[0], 0) if axis == 0 else (0, strip[0]))
        yield from (polygon + start for _, polygon in trace_contours(part, most_points))


def _fill(polygon: Points, shape: Sequence[int]) -> Mask:
    """The pixels inside `polygon`: those with an odd number of vertical edges to their left."""
    edges = np.stack([polygon, np.roll(polygon, -1, axis=0)])
    upright = edges[:, edges[0, :, 1] == edges[1, :, 1]]
    columns = upright[0, :, 1]
    changes = np.zeros((shape[0] + 1, shape[1] + 1), np.int32)
    np.add.at(changes, (upright[:, :, 0].min(axis=0), columns), 1)
    np.add.at(changes, (upright[:, :, 0].max(axis=0), columns), -1)
    crossed = changes.cumsum(axis=0).cumsum(axis=1)
    return np.asarray(crossed[:-1, :-1] % 2 == 1)


def _trace(masks: Mask) -> Iterator[tuple[int, Points]]:
    corners = _find_corners(masks)
    around: list[list[int]] = []
    holes: list[list[int]] = []
    for ring in _find_rings(corners):
        (around if corners.below[ring[0]] else holes).append(ring)
    bridges = _join_holes(corners, holes)
    for ring in around:
        yield int(corners.planes[ring[0]]), _walk(corners, ring, bridges)


def _find_corners(masks: Mask) -> _Corners:
    code = _encode_corners(masks)
    places = np.stack(np.nonzero(TURNS[code]))
    codes = code[tuple(places)]
    copies = 1 + TOUCHES[codes]
    planes, rows, columns = np.repeat(places, copies, axis=1)
    codes = np.repeat(codes, copies)
    second = np.zeros(len(codes), np.bool_)
    second[np.cumsum(copies) - 1] = copies == 2
    # At a touch the left pixel's copy comes first. It is the upper pixel where the touch is RISING, so that its
    # vertical edge ends here; otherwise the lower, whose edge begins here and is behind in the order of the column.
    order = np.lexsort((np.where(codes == RISING, second, ~second), rows, columns, planes))
    across = np.empty(len(order), np.intp)
    across[order[0::2]], across[order[1::2]] = order[1::2], order[0::2]
    return _Corners(planes, rows, columns, across, (codes & LOWER_RIGHT) > 0)


def _encode_corners(masks: Mask) -> NDArray[np.uint8]:
    """For every corner of pixels which of the four around it are in the mask: 1 upper left, 2 upper right, 4 lower
    left, 8 lower right. Shape (planes, rows + 1, columns + 1)."""
    planes, rows, columns = masks.shape
    code = np.zeros((planes, rows + 1, columns + 1), np.uint8)
    inside = masks.view(np.uint8)
    code[:, 1:, 1:] += inside
    code[:, 1:, :-1] += 2 * inside
    code[:, :-1, 1:] += 4 * inside
    code[:, :-1, :-1] += 8 * inside
    return code


def _find_rings(corners: _Corners) -> list[list[int]]:
    """Corners around each part and each hole, clockwise from the leftmost of the topmost ones, in order of these: an
    edge to the right, one down, and so on."""
    across = corners.across.tolist()
    seen = bytearray(len(across))
    rings = []
    for start in range(len(across)):
        if seen[start]:
            continue
        ring: list[int] = []
        corner = start
        while not seen[corner]:
            other = corner ^ 1
            seen[corner] = seen[other] = 1
            ring += (corner, other)
            corner = across[other]
        rings.append(ring)
    return rings


Bridges = dict[int, list[tuple[int, Points]]]
"""Horizontal edge -> (column at which a hole hangs on it, the walk from there around the hole and back)."""


def _join_holes(corners: _Corners, holes: Sequence[list[int]]) -> Bridges:
    """How `holes`, in order of their tops, hang on what is around them.

    A hole hangs on the first edge above its top: the part's own, or that of another hole, whose top is higher still.
    So from the lowest top to the highest, a hole's walk is complete when its turn comes.
    """
    bridges: Bridges = {}
    left, right = corners.columns[0::2], corners.columns[1::2]
    for ring in reversed(holes):
        top, column = ring[0], int(corners.columns[ring[0]])
        first = int(np.searchsorted(corners.planes, corners.planes[top])) // 2
        over = (left[first : top // 2] <= column) & (right[first : top // 2] >= column)
        edge = first + int(np.flatnonzero(over)[-1])
        walk = _walk(corners, ring[::-1], bridges)
        hook = np.array([[corners.rows[2 * edge], column]])
        bridges.setdefault(edge, []).append((column, np.concatenate([hook, walk[-1:], walk, hook])))
    return bridges


def _walk(corners: _Corners, ring: Sequence[int], bridges: Bridges) -> Points:
    """The places of `ring`, each horizontal edge with the holes that hang on it. Where a hole hangs on the end of an
    edge, that place is not named twice."""
    points = np.stack([corners.rows[ring], corners.columns[ring]], axis=1)
    pieces, done = [], 0
    for n in [n for n in range(0, len(ring), 2) if ring[n] // 2 in bridges] if bridges else ():
        hanging = sorted(bridges[ring[n] // 2], key=lambda pair: pair[0], reverse=ring[n + 1] < ring[n])
        pieces += [points[done : n + 1], *(walk for _, walk in hanging)]
        done = n + 1
    whole = np.concatenate([*pieces, points[done:]])
    return whole[np.any(whole != np.roll(whole, 1, axis=0), axis=1)]
