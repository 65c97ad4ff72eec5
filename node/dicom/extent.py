"""Where on a stack a segment lies, found once, so that nobody reads the rest of the volume for it again."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.terms import LabelMask, Mask, Segment

Planes = NDArray[np.intp]
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


def find_extents(segments: Sequence[Segment]) -> list[Extent]:
    """The extents of those `segments` that are not empty, in their order. A label volume is read once for all."""
    boxes: dict[int, list[tuple[slice, slice, slice] | None]] = {}
    found = []
    for segment in segments:
        shared = segment.label_mask
        if shared is None:
            extent = _find_in_array(segment)
        else:
            if id(shared.labels) not in boxes:
                boxes[id(shared.labels)] = ndimage.find_objects(shared.labels)
            extent = _find_in_labels(segment, shared, boxes[id(shared.labels)])
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


def _find_in_labels(
    segment: Segment, shared: LabelMask, boxes: list[tuple[slice, slice, slice] | None]
) -> Extent | None:
    box = boxes[shared.label - 1] if shared.label <= len(boxes) else None
    if box is None:
        return None
    planes, rows, columns = box
    met = [bool((plane == shared.label).any()) for plane in shared.labels[planes, rows, columns]]
    return Extent(segment, np.flatnonzero(met) + planes.start, rows, columns)


def _find_in_array(segment: Segment) -> Extent | None:
    planes = np.flatnonzero(segment.mask.any(axis=(1, 2)))
    if len(planes) == 0:
        return None
    held = segment.mask[planes[0] : planes[-1] + 1]
    rows, columns = (_range(np.flatnonzero(held.any(axis=others))) for others in ((0, 2), (0, 1)))
    return Extent(segment, planes, rows, columns)


def _range(met: NDArray[np.intp]) -> slice:
    return slice(int(met[0]), int(met[-1]) + 1)
