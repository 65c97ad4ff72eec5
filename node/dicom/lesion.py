"""A lesion's place as viewers draw it: a rectangle in the plane where it is largest, its axes as lines in theirs.

Viewers hydrate what stands in a measurement group of its own. A region beside a number, or a number alone, they show as
text at best: so a lesion has a group with its numbers, one with its rectangle and one with its axes (PS3.16 TID 1411,
1410 and 1501), all under one tracking uid.
"""

import math
from dataclasses import dataclass

import numpy as np
from pydicom import Dataset

from node.dicom import codes, content
from node.dicom.stack import Stack
from node.errors import EncodingError
from pipelines.terms import Axes, Box, Code, Mask, Segment

BIDIRECTIONAL_TOOL = "Cornerstone3DTools@^0.1.0:Bidirectional"
"""Tracking Identifiers that begin so are given to cornerstone's tool with two perpendicular diameters (OHIF)."""


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A rectangle in the plane `plane` of a stack; its edges in coordinates of the image, (0, 0) at its very corner."""

    plane: int
    left: float
    top: float
    right: float
    bottom: float

    @property
    def corners(self) -> list[tuple[float, float]]:
        """(column, row), from the top left around and back to it."""
        left, top, right, bottom = self.left, self.top, self.right, self.bottom
        return [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)]


def mask_rectangle(mask: Mask) -> Rectangle | None:
    """Around the pixels of `mask`, bool (k, j, i), in the plane that has most of them; None when it has none."""
    counts = [np.count_nonzero(plane) for plane in mask]
    plane = int(np.argmax(counts))
    return _rectangle(plane, mask[plane]) if counts[plane] else None


def segment_rectangle(segment: Segment) -> Rectangle | None:
    """Around the pixels of `segment` in that of its planes which is nearest to the middle of the stack; None when it is
    empty. Of a share of a label volume it makes no more than single planes."""
    shared = segment.label_mask
    planes = segment.shape[0]
    for plane in sorted(range(planes), key=lambda k: abs(2 * k - planes + 1)):
        mask = segment.mask[plane] if shared is None else shared.labels[plane] == shared.label
        if mask.any():
            return _rectangle(plane, mask)
    return None


def _rectangle(plane: int, mask: Mask) -> Rectangle:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return Rectangle(plane, float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1))


def box_rectangle(box: Box, shape: tuple[int, int, int]) -> Rectangle:
    """The cut of `box` with its middle plane, within an image of `shape` (k, j, i).

    Raises EncodingError when nothing of the box is in the image.
    """
    (k0, j0, i0), (k1, j1, i1) = box.low, box.high
    planes, rows, columns = shape
    plane = math.ceil((max(k0, -0.5) + min(k1, planes - 0.5)) / 2 - 0.5)
    left, right = max(i0 + 0.5, 0.0), min(i1 + 0.5, float(columns))
    top, bottom = max(j0 + 0.5, 0.0), min(j1 + 0.5, float(rows))
    if not (0 <= plane < planes and k0 < planes - 0.5 and k1 > -0.5 and left < right and top < bottom):
        raise EncodingError("a box lies outside the image that it was found in")
    return Rectangle(plane, left, top, right, bottom)


def region_item(rectangle: Rectangle, stack: Stack) -> Dataset:
    """Image Region (TID 1410): the closed outline of `rectangle`."""
    source = plane_image(codes.LIBRARY_IMAGE, content.SELECTED_FROM, rectangle.plane, stack)
    return content.polyline(codes.IMAGE_REGION, rectangle.corners, content.CONTAINS, source)


def axis_items(axes: Axes, stack: Stack) -> list[Dataset]:
    """Long and short axis in mm, each inferred from the line that it was measured along (TID 300, TID 320)."""
    if not 0 <= axes.plane < stack.shape[0]:
        raise EncodingError(f"axes lie in plane {axes.plane}, the stack has {stack.shape[0]}")
    measured = ((codes.LONG_AXIS, axes.long_mm, axes.long), (codes.SHORT_AXIS, axes.short_mm, axes.short))
    items = []
    for concept, length, ends in measured:
        source = plane_image(codes.LIBRARY_IMAGE, content.SELECTED_FROM, axes.plane, stack)
        points = [_image_point(point, stack) for point in ends]
        line = content.polyline(codes.SOURCE_OF_MEASUREMENT, points, content.INFERRED_FROM, source)
        items.append(content.number(concept, length, codes.MILLIMETER, [line]))
    return items


def plane_image(name: Code, relationship: str, plane: int, stack: Stack) -> Dataset:
    """The IMAGE that plane `plane` of `stack` is: with its frame number where there is more than one frame."""
    index, frame = stack.frames[plane]
    header = stack.headers[index]
    frames = (frame,) if int(header.get("NumberOfFrames") or 1) > 1 else ()
    return content.image(name, header.SOPClassUID, header.SOPInstanceUID, relationship, frames=frames)


def _image_point(point: tuple[float, float], stack: Stack) -> tuple[float, float]:
    """(column, row) of index coordinates (j, i): the center of pixel 0 is 0 there, 0.5 here (PS3.3 table C.18.6-1)."""
    _, rows, columns = stack.shape
    return min(max(point[1] + 0.5, 0.0), float(columns)), min(max(point[0] + 0.5, 0.0), float(rows))
