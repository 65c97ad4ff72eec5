"""Long and short axis of a region in the acquisition plane, as RECIST 1.1 measures lesions and lymph nodes.

RECIST 1.1 (Eisenhauer et al., Eur J Cancer 2009;45:228-247, doi:10.1016/j.ejca.2008.10.026): the longest diameter in
the plane of measurement, and the longest one perpendicular to it. The outline runs halfway between the center of a
pixel inside and that of its neighbor outside: it passes the middles of the pixels' edges, so that one pixel alone is
as long as its longer edge. Ellipses of 8 to 40 pixels come out 0.4 pixel too long on average: from center to center it
would be as much too short, from corner to corner a whole pixel too long. Both axes are chords of the convex hull of
the outline: a caliper is laid across a notch or a hole, not into it.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from pipelines.terms import Axes, Finding, Mask, Result

Points = NDArray[np.float64]

SAME = 1e-9
"""Lengths that differ by no more than this share are equal: then the long axis with the longest short one is taken."""


def find_axes(mask: Mask, spacing: tuple[float, float], plane: int = 0) -> Axes:
    """The axes of `mask`, bool (j, i), in pixels of `spacing` (between rows, between columns) mm.

    plane: only passed on. Raises ValueError when `mask` is empty. Mirrored or turned, a mask keeps its lengths.
    """
    outline = find_outline(mask)
    if len(outline) == 0:
        raise ValueError("an empty mask has no axes")
    points = outline * np.asarray(spacing, float)
    hull = points[ConvexHull(points).vertices]
    lengths = np.linalg.norm(hull[:, None] - hull[None], axis=2)
    longest = float(lengths.max())
    pairs = np.argwhere(np.triu(lengths >= longest * (1 - SAME)))
    candidates = [(hull[p], hull[q], *_short_axis(hull, hull[p], hull[q])) for p, q in pairs]
    start, end, left, right = max(candidates, key=lambda ends: float(np.linalg.norm(ends[3] - ends[2])))
    short = min(float(np.linalg.norm(right - left)), longest)
    return Axes(plane, _to_pixels(start, end, spacing), _to_pixels(left, right, spacing), longest, short)


def find_longest_axes(mask: Mask, spacing: tuple[float, float, float]) -> Axes | None:
    """The axes in that plane of `mask`, bool (k, j, i), where the long one is longest; None when `mask` is empty."""
    best: Axes | None = None
    bounds = [(_longest_possible(plane, spacing[1:]), k) for k, plane in enumerate(mask) if plane.any()]
    for bound, k in sorted(bounds, key=lambda entry: (-entry[0], entry[1])):
        if best is not None and bound < best.long_mm * (1 - SAME):
            break
        axes = find_axes(mask[k], (spacing[1], spacing[2]), k)
        if best is None or _is_longer(axes, best):
            best = axes
    return best


def with_axes(result: Result, spacing: tuple[float, float, float]) -> Result:
    """`result` with axes in every finding of a lesion whose segment has a voxel. spacing: mm along (k, j, i).

    Axes that a pipeline measured itself stay.
    """
    lesions = {segment.key: segment for segment in result.segments if segment.is_lesion}

    def measured(finding: Finding) -> Finding:
        if finding.axes is not None or finding.absent or finding.segment_key not in lesions:
            return finding
        return replace(finding, axes=find_longest_axes(lesions[finding.segment_key].mask, spacing))

    return replace(result, findings=tuple(measured(finding) for finding in result.findings))


def find_outline(mask: Mask) -> Points:
    """Points (n, 2) in index coordinates (j, i) whose convex hull is that of the outline of `mask`, bool (j, i).

    Of the middles of the edges between inside and outside, the outermost of each row and of each column.
    """
    ends = []
    for across in (0, 1):
        lines = np.flatnonzero(mask.any(axis=1 - across)).astype(float)
        kept = mask[mask.any(axis=1)] if across == 0 else mask[:, mask.any(axis=0)].T
        if kept.size:
            first = kept.argmax(axis=1) - 0.5
            last = kept.shape[1] - kept[:, ::-1].argmax(axis=1) - 0.5
            ends += [np.stack([lines, end] if across == 0 else [end, lines], axis=1) for end in (first, last)]
    return np.concatenate(ends) if ends else np.empty((0, 2))


def _short_axis(hull: Points, start: Points, end: Points) -> tuple[Points, Points]:
    """The ends of the longest chord of `hull` perpendicular to the line from `start` to `end`, its diameter.

    No point of a region lies beyond the ends of its diameter, so that these divide the hull into two chains. Between
    them the chord is a concave function of the place along the diameter: it is longest at a corner.
    """
    length = float(np.linalg.norm(end - start))
    along = (end - start) / length
    across = np.array([-along[1], along[0]])
    u, v = (hull - start) @ along, (hull - start) @ across
    heights = [_height_of_chain(u, v, sign, length) for sign in (1.0, -1.0)]
    chords = heights[0] + heights[1]
    longest = np.flatnonzero(chords >= chords.max() * (1 - SAME))
    best = longest[np.argmin(np.abs(u[longest] - length / 2))]
    foot = start + u[best] * along
    return foot + heights[0][best] * across, foot - heights[1][best] * across


def _height_of_chain(u: Points, v: Points, sign: float, length: float) -> Points:
    """How far the hull reaches to one side of the diameter, at the place of each of its corners."""
    chain = sign * v > 0
    order = np.argsort(u[chain])
    places = np.concatenate([[0.0], u[chain][order], [length]])
    heights = np.concatenate([[0.0], sign * v[chain][order], [0.0]])
    return np.asarray(np.interp(u, places, heights))


def _longest_possible(plane: Mask, spacing: tuple[float, ...]) -> float:
    """No axis of `plane` is longer than the diagonal of the rectangle around it, in mm."""
    rows, columns = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
    return float(np.hypot((rows[-1] - rows[0] + 1) * spacing[0], (columns[-1] - columns[0] + 1) * spacing[1]))


def _is_longer(one: Axes, other: Axes) -> bool:
    if abs(one.long_mm - other.long_mm) > SAME * other.long_mm:
        return one.long_mm > other.long_mm
    return one.short_mm > other.short_mm * (1 + SAME)


def _to_pixels(
    one: Points, other: Points, spacing: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two points in mm as index coordinates, the topmost first."""
    ends = sorted((float(point[0] / spacing[0]), float(point[1] / spacing[1])) for point in (one, other))
    return ends[0], ends[1]
