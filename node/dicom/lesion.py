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
from node.dicom.extent import Extent
from node.dicom.stack import Stack
from node.errors import EncodingError
from pipelines.terms import Axes, Box, Code

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


def largest_rectangle(extent: Extent) -> Rectangle:
    """Around the pixels of `extent` in the plane that has most of them."""
    counts = [np.count_nonzero(extent.crop(extent.planes[n : n + 1])) for n in range(len(extent.planes))]
    return _rectangle(extent, int(np.argmax(counts)))


def middle_rectangle(extent: Extent, planes: int) -> Rectangle:
    """Around the pixels of `extent` in that of its planes which is nearest to the middle of a stack of `planes`."""
    return _rectangle(extent, int(np.argmin(np.abs(2 * extent.planes - planes + 1))))


def _rectangle(extent: Extent, number: int) -> Rectangle:
    """Around the pixels in the plane that is the `number`th which `extent` meets, from 0."""
    mask = extent.crop(extent.planes[number : number + 1])[0]
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = extent.rows.start, extent.columns.start
    return Rectangle(
        int(extent.planes[number]),
        float(left + columns[0]), float(top + rows[0]), float(left + columns[-1] + 1), float(top + rows[-1] + 1),
    )  # fmt: skip


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
