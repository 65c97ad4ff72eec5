"""A result's outlines as a Grayscale Softcopy Presentation State (PS3.3 A.33.1), which nearly any PACS can lay over
its own images: for displays that know no Segmentation."""

from collections.abc import Iterator

import numpy as np
from highdicom.color import CIELabColor
from pydicom import Dataset
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage

from node.dicom.authorship import Authorship
from node.dicom.context import add_examined, new_object, reference_series
from node.dicom.grayscale import add_grayscale
from node.dicom.laterality import add_laterality
from node.dicom.mask import Part, read_parts
from node.dicom.outline import Points, trace_outlines
from node.dicom.plane_reference import reference_planes
from node.dicom.stack import Stack
from node.errors import EncodingError
from pipelines.terms import Result

MOST_POINTS_AN_OBJECT = 8191
"""Graphic Data is FL, whose length in bytes has 16 bits in Explicit VR (PS3.5 7.1.2)."""

MOST_POINTS = 2_000_000
"""Of all outlines together, 16 MB. Both lungs on 300 planes have about 60,000 (0.5 MB); noise has more than any display
draws."""

CAUTION_LAYER = "AI_CAUTION"
CAUTION_COLOR = (255, 220, 90)
CAUTION_BOX = ([0.01, 0.95], [0.99, 0.99])
"""Top left and bottom right in DISPLAY units: a line at the lower edge of what is shown (PS3.3 C.10.5.1.1)."""


def encode_presentation(
    stack: Stack,
    result: Result,
    author: Authorship,
    *,
    limits: tuple[float, float] | None = None,
    series_number: int = 7004,
) -> Dataset:
    """The edges of the segments of `result`, and of the boxes of findings without a segment, as closed polylines on
    their source images, a graphic layer for each.

    Filled again, the outlines of a segment on a plane hold exactly its pixels (node.dicom.outline). Each image keeps
    its window; limits: lowest and highest gray for images that give none. All planes of the stack are listed, so that
    a display applies the state, with its caution, to the whole series.
    Raises EncodingError when there is nothing to outline, a mask is not on the stack's grid, the outlines have more
    points than MOST_POINTS, or the images' way from stored values to gray cannot be repeated (add_grayscale).
    """
    ds = new_object(
        stack.first, author, GrayscaleSoftcopyPresentationStateStorage, "PR", "presentation", series_number,
        f"AI, not reviewed: {author.manifest.title}",
    )  # fmt: skip
    add_examined(ds, stack.first, author.order)
    add_laterality(ds, stack.first)
    ds.PresentationCreationDate, ds.PresentationCreationTime = ds.pop("ContentDate").value, ds.pop("ContentTime").value
    ds.ContentLabel, ds.ContentCreatorName = "AI_OUTLINES", ""
    ds.ContentDescription = author.describe(f"{author.manifest.name} {author.manifest.version}")
    _add_images(ds, stack)
    add_grayscale(ds, stack, limits)
    annotations, layers = _draw(stack, result)
    ds.GraphicAnnotationSequence = [*annotations, _caution(author)]
    ds.GraphicLayerSequence = [*layers, _layer(CAUTION_LAYER, len(layers) + 1, "Caution", CAUTION_COLOR)]
    return ds


def _add_images(ds: Dataset, stack: Stack) -> None:
    """Presentation State Relationship and Displayed Area (PS3.3 C.11.11, C.10.4): all of every plane."""
    (series,) = reference_series(stack.headers, "ReferencedImageSequence")
    series.ReferencedImageSequence = reference_planes(stack, range(stack.shape[0]))
    ds.ReferencedSeriesSequence = [series]
    area = Dataset()
    _, rows, columns = stack.shape
    area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner = [1, 1], [columns, rows]
    area.PresentationSizeMode = "SCALE TO FIT"
    spacing = np.linalg.norm(stack.affine[:3, 1:3], axis=0)
    area.PresentationPixelSpacing = [f"{float(step):.10g}" for step in spacing]
    ds.DisplayedAreaSelectionSequence = [area]


def _draw(stack: Stack, result: Result) -> tuple[list[Dataset], list[Dataset]]:
    """Graphic annotations of all parts that are not empty, and the layers they lie on, in the same order."""
    annotations: list[Dataset] = []
    layers: list[Dataset] = []
    points = 0
    for part in read_parts(stack, result):
        if not part.mask.any():
            continue
        name = f"AI_{len(layers) + 1}"
        layers.append(_layer(name, len(layers) + 1, part.label, part.color))
        for annotation in _annotate(stack, part, name):
            annotations.append(annotation)
            points += sum(item.NumberOfGraphicPoints for item in annotation.GraphicObjectSequence)
            if points > MOST_POINTS:
                raise EncodingError(f"the outlines have more than {MOST_POINTS} points: no display would draw them")
    if not layers:
        raise EncodingError("no segment has a voxel and no finding a box: there is nothing to outline")
    return annotations, layers


def _annotate(stack: Stack, part: Part, layer: str) -> Iterator[Dataset]:
    """An item of Graphic Annotation Sequence for each plane that the part meets: outlines, and its label."""
    for k in np.flatnonzero(part.mask.any(axis=(1, 2))).tolist():
        outlines = trace_outlines(part.mask[k])
        item = Dataset()
        item.ReferencedImageSequence = reference_planes(stack, [k])
        item.GraphicLayer = layer
        item.TextObjectSequence = [_label(part.label, outlines)]
        item.GraphicObjectSequence = [_polyline(piece) for outline in outlines for piece in _cut(outline)]
        yield item


def _cut(outline: Points) -> Iterator[Points]:
    """The outline whole; one with too many points in pieces, each of which starts where the one before it ends."""
    step = MOST_POINTS_AN_OBJECT - 1
    for start in range(0, len(outline) - 1, step):
        yield outline[start : start + step + 1]


def _polyline(points: Points) -> Dataset:
    """A Graphic Object (PS3.3 C.10.5.1.2): closed when its last point is its first."""
    item = Dataset()
    item.GraphicAnnotationUnits, item.GraphicDimensions = "PIXEL", 2
    item.NumberOfGraphicPoints = len(points)
    item.GraphicData = [float(value) for value in points.ravel()]
    item.GraphicType = "POLYLINE"
    if (points[0] == points[-1]).all():
        item.GraphicFilled = "N"
    return item


def _label(label: str, outlines: list[Points]) -> Dataset:
    """A Text Object by the highest point of what is outlined."""
    points = np.concatenate(outlines)
    item = Dataset()
    item.AnchorPointAnnotationUnits, item.AnchorPointVisibility = "PIXEL", "N"
    item.AnchorPoint = [float(value) for value in points[int(points[:, 1].argmin())]]
    item.UnformattedTextValue = f"AI: {label}"[:1024]
    return item


def _caution(author: Authorship) -> Dataset:
    """A line on every image: the item names none, so it speaks of all."""
    manifest = author.manifest
    text = Dataset()
    text.BoundingBoxAnnotationUnits, text.BoundingBoxTextHorizontalJustification = "DISPLAY", "LEFT"
    text.BoundingBoxTopLeftHandCorner, text.BoundingBoxBottomRightHandCorner = CAUTION_BOX
    text.UnformattedTextValue = (
        f"AI, not reviewed: {manifest.name} {manifest.version}. Not for: {manifest.not_for.rstrip('. ')}."[:1024]
    )
    item = Dataset()
    item.GraphicLayer, item.TextObjectSequence = CAUTION_LAYER, [text]
    return item


def _layer(name: str, order: int, description: str, color: tuple[int, int, int]) -> Dataset:
    """A Graphic Layer (PS3.3 C.10.7) with its color as CIELab, and white for displays without color."""
    item = Dataset()
    item.GraphicLayer, item.GraphicLayerOrder, item.GraphicLayerDescription = name, order, description[:64]
    item.GraphicLayerRecommendedDisplayGrayscaleValue = 0xFFFF
    item.GraphicLayerRecommendedDisplayCIELabValue = list(CIELabColor.from_rgb(*color).value)
    return item
