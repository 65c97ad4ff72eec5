"""A result's masks as a Label Map Segmentation object (DICOM Supplement 243): a number a voxel, a frame a plane.

A hundred segments cost as much as one, so it is many times smaller than a BINARY Segmentation; but no two segments may
share a voxel, and many peers do not know it yet.
"""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, RLELossless

from node.dicom.authorship import Authorship
from node.dicom.codes import to_concept
from node.dicom.extent import Extent, find_overlap
from node.dicom.run_length import encode_run_length
from node.dicom.segmentation import (
    POSITION,
    add_dimensions,
    add_frames,
    find_masks,
    new_segmentation,
    plane_positions,
    rank_planes,
)
from node.dicom.stack import Stack
from node.errors import EncodingError, OverlappingSegments
from pipelines.terms import Code, Result

LABEL_MAP_SEGMENTATION_STORAGE = UID("1.2.840.10008.5.1.4.1.1.66.7")
BACKGROUND = Code("125040", "DCM", "Background")

UPRIGHT_DEGREES = 0.1

Labels = NDArray[np.uint8] | NDArray[np.uint16]


def encode_labelmap(stack: Stack, result: Result, author: Authorship, *, series_number: int = 7001) -> Dataset:
    """The segments of `result` that are not empty, as one Label Map Segmentation in RLE Lossless.

    A frame for each plane that any segment meets; pixels are segment numbers, those of encode_segmentation, of 8 bits
    or, beyond 255 segments, of 16; 0 is the background. Another object, in another series, than the BINARY one.
    Raises OverlappingSegments, an EncodingError, when two segments share a voxel (the BINARY object holds such), and
    EncodingError beyond 65535 segments and for what encode_segmentation refuses. The headers stay as they are.
    """
    extents = find_masks(stack, result)
    positions = plane_positions(stack)
    if (over := find_overlap(extents, stack.shape)) is not None:
        raise OverlappingSegments(f"segment {over.key!r} lies over another: a label map holds one segment a voxel")
    if len(extents) > 0xFFFF:
        raise EncodingError(f"{len(extents)} segments are more than a label map can number")
    ranks = rank_planes(stack, positions, extents)
    planes = np.flatnonzero(ranks)[np.argsort(ranks[ranks > 0])]
    ds = new_segmentation(stack, author, extents, LABEL_MAP_SEGMENTATION_STORAGE, "labelmap", series_number)
    ds.file_meta.TransferSyntaxUID = RLELossless
    ds.SegmentationType, ds.SegmentsOverlap = "LABELMAP", "NO"
    ds.SegmentSequence = [_background(ds.SegmentSequence[0]), *ds.SegmentSequence]
    ds.BitsAllocated = ds.BitsStored = 8 if len(extents) <= 0xFF else 16
    ds.HighBit = ds.BitsStored - 1
    ds.add(DataElement("PixelPaddingValue", "US", 0))
    add_dimensions(ds, author.uid("labelmap", "dimensions"), POSITION)
    if stack.is_regular and stack.tilt_degrees < UPRIGHT_DEGREES and _are_regular(planes):
        ds.DimensionOrganizationType = "3D"
    add_frames(ds, stack, positions, planes, ranks[planes][:, None], None)
    frames = [encode_run_length(label_plane(extents, int(k), stack.shape[1:])) for k in planes]
    ds.add(DataElement("PixelData", "OB", encapsulate(frames)))
    ds["PixelData"].is_undefined_length = True
    return ds


def label_plane(extents: Sequence[Extent], k: int, shape: tuple[int, int]) -> Labels:
    """Segment numbers on plane k, (row, column), counted from 1 in the order of `extents`; 0 where none is."""
    labels: Labels = np.zeros(shape, np.uint8) if len(extents) <= 0xFF else np.zeros(shape, np.uint16)
    for number, extent in enumerate(extents, 1):
        place = int(np.searchsorted(extent.planes, k))
        if place < len(extent.planes) and extent.planes[place] == k:
            mask = extent.crop(extent.planes[place : place + 1])[0]
            np.copyto(labels[extent.rows, extent.columns], number, where=mask, casting="unsafe")
    return labels


def _are_regular(planes: NDArray[np.intp]) -> bool:
    """More than one plane, each as far from the next: with an even, upright stack a volume (PS3.3 C.7.6.17.3)."""
    steps = np.diff(planes)
    return len(steps) > 0 and bool((steps == steps[0]).all())


def _background(first: Dataset) -> Dataset:
    """Segment 0: what no segment claims. It is told by its code; nothing tracks it. `first`: any other segment."""
    item = hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=BACKGROUND.meaning,
        segmented_property_category=to_concept(BACKGROUND),
        segmented_property_type=to_concept(BACKGROUND),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=first.SegmentationAlgorithmIdentificationSequence,
        display_color=hd.color.CIELabColor(0.0, 0.0, 0.0),
    )
    item.SegmentNumber = 0
    del item.SegmentationAlgorithmIdentificationSequence
    return item
