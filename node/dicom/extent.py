"""Where on a stack a segment lies, found once, so that nobody reads the rest of the volume for it again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from pipelines.terms import LabelMask, LabelVolume, Mask, Result, Segment

Planes = NDArray[np.intp]
Met = tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]
"""Of a label volume: which planes, rows and columns each label meets, (label, k), (label, j) and (label, i). Of rows
and columns between the first and the last, some may be left out."""

PLANES_AT_ONCE = 32


@dataclass(frozen=True, slots=True, eq=False)
class Extent:
    """A segment that is not empty: `planes` that it meets, ascending; `rows` and `columns` that hold all of it."""

    segment: Segment
    planes: Planes
    rows: slice
    columns: slice

    def crop(self, planes: Planes) -> Mask:
        """The mask on `planes` within rows and columns: a new bool array (plane, row, column)."""
        shared = self.segment.label_mask
        if shared is None:
            return self.segment.mask[planes, self.rows, self.columns]
        mask: Mask = shared.labels[planes, self.rows, self.columns] == shared.label
        return mask


_found: "WeakKeyDictionary[Result, list[Extent]]" = WeakKeyDictionary()


def find_extents(result: Result) -> list[Extent]:
    """The extents of those segments of `result` that are not empty, in their order. A label volume is read once for
    all its segments, and a result once for all its objects: its masks stay as they are while it is encoded."""
    if result not in _found:
        _found[result] = _find_all(result.segments)
    return _found[result]


def _find_all(segments: Sequence[Segment]) -> list[Extent]:
    met: dict[int, Met] = {}
    found = []
    for segment in segments:
        shared = segment.label_mask
        if shared is None:
            extent = _find_in_array(segment)
        else:
            if id(shared.labels) not in met:
                met[id(shared.labels)] = _find_met(shared.labels)
            extent = _find_in_labels(segment, shared, met[id(shared.labels)])
        if extent is not None:
            found.append(extent)
    return found


def find_overlap(extents: Sequence[Extent], shape: tuple[int, int, int]) -> Segment | None:
    """The first segment that lies over one before it, on a stack of `shape`; None when all lie apart."""
    if _share_one_volume(extents):
        return None
    taken = np.zeros(shape, np.bool_)
    for extent in extents:
        for planes in _batches(extent.planes):
            mask = extent.crop(planes)
            if bool((taken[planes, extent.rows, extent.columns] & mask).any()):
                return extent.segment
            taken[planes, extent.rows, extent.columns] |= mask
    return None


def _batches(planes: Planes) -> Iterator[Planes]:
    return (planes[start : start + PLANES_AT_ONCE] for start in range(0, len(planes), PLANES_AT_ONCE))


def _share_one_volume(extents: Sequence[Extent]) -> bool:
    """Different labels of one volume cannot overlap."""
    shares = [extent.segment.label_mask for extent in extents]
    known = [(id(share.labels), share.label) for share in shares if share is not None]
    return len(known) == len(shares) == len(set(known)) and len({volume for volume, _ in known}) == 1


def _find_met(labels: LabelVolume) -> Met:
    """By the runs of equal labels: there are far fewer of them than voxels, and their ends say all."""
    _, _, columns = labels.shape
    planes_met, rows_met, columns_met = (np.zeros((int(labels.max()) + 1, n), np.bool_) for n in labels.shape)
    for k, plane in enumerate(labels):
        flat = plane.reshape(-1)
        turns = np.flatnonzero(flat[1:] != flat[:-1])
        starts, ends = np.concatenate(([0], turns + 1)), np.concatenate((turns, [flat.size - 1]))
        inside = np.flatnonzero(flat[starts])
        (first_rows, first_columns), (last_rows, last_columns) = (
            np.divmod(places[inside], columns) for places in (starts, ends)
        )
        wraps = first_rows != last_rows  # from the end of one row to the beginning of the next
        first_columns[wraps], last_columns[wraps] = 0, columns - 1
        here = flat[starts[inside]]
        planes_met[here, k] = True
        rows_met[here, first_rows] = rows_met[here, last_rows] = True
        columns_met[here, first_columns] = columns_met[here, last_columns] = True
    return planes_met, rows_met, columns_met


def _find_in_labels(segment: Segment, shared: LabelMask, met: Met) -> Extent | None:
    if shared.label >= len(met[0]) or not met[0][shared.label].any():
        return None
    planes, rows, columns = (np.flatnonzero(places[shared.label]) for places in met)
    return Extent(segment, planes, _range(rows), _range(columns))


def _find_in_array(segment: Segment) -> Extent | None:
    planes = np.flatnonzero(segment.mask.any(axis=(1, 2)))
    if len(planes) == 0:
        return None
    held = segment.mask[planes[0] : planes[-1] + 1]
    rows, columns = (_range(np.flatnonzero(held.any(axis=others))) for others in ((0, 2), (0, 1)))
    return Extent(segment, planes, rows, columns)


def _range(met: NDArray[np.intp]) -> slice:
    return slice(int(met[0]), int(met[-1]) + 1)
