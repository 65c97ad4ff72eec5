"""A result's masks as a BINARY Segmentation object (PS3.3 A.51).

Written attribute by attribute: highdicom 0.28.2 stamps the present time and random uids into it, wants all planes of
a multi-frame source under one shared orientation, copies the source's Spacing Between Slices unseen and pads pixel
data with a character. Here one frame is one source frame, and the same result makes the same bytes. Frames and their
functional groups are written as bytes: as objects they would cost more time than the model takes.
"""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.charset import convert_encodings
from pydicom.uid import SegmentationStorage

from node.dicom.authorship import Authorship
from node.dicom.codes import ARTIFICIAL_INTELLIGENCE, to_concept
from node.dicom.context import new_object, reference_series
from node.dicom.extent import Extent, find_extents, find_overlap
from node.dicom.frame_groups import encode_frame_groups
from node.dicom.functional_groups import add_lossy_history, add_place, make_item, shared_geometry
from node.dicom.header import find_value
from node.dicom.packed_frames import PackedFrames
from node.dicom.stack import Stack
from node.dicom.succession import reference_predecessors
from node.errors import EncodingError
from pipelines.terms import Code, Result, Segment, Tracking

Indices = NDArray[np.intp]

POSITION, SEGMENT_NUMBER = 0x00200032, 0x0062000B
PLANE_POSITION_SEQUENCE, SEGMENT_IDENTIFICATION_SEQUENCE = 0x00209113, 0x0062000A
LONGEST = 0xFFFFFFFE
IN_MEMORY_BYTES = 1 << 24
"""Longer Pixel Data is a stream (PackedFrames) that packs the masks when it is written; shorter is bytes."""


def encode_segmentation(stack: Stack, result: Result, author: Authorship, *, series_number: int = 7001) -> Dataset:
    """The segments of `result` that are not empty, as one Segmentation with a frame for each plane each of them meets.

    Masks lie on the stack's grid: plane k is the source frame stack.frames[k]. Segments may overlap. The object may
    read the masks when it is written, so leave them as they are until then.
    Raises EncodingError when no mask has a voxel, when a mask's shape is not the stack's, when the source has no
    frame of reference or lies elsewhere than the stack says, or when the object would be longer than DICOM allows.
    The headers of `stack` stay as they are.
    """
    extents = find_masks(stack, result)
    positions = plane_positions(stack)
    ranks = rank_planes(stack, positions, extents)
    planes = [extent.planes[np.argsort(ranks[extent.planes])] for extent in extents]
    numbers = np.repeat(np.arange(1, len(extents) + 1), [len(met) for met in planes])
    ds = new_segmentation(stack, author, extents, SegmentationStorage, "segmentation", series_number)
    ds.SegmentationType = "BINARY"
    ds.SegmentsOverlap = "YES" if find_overlap(extents, stack.shape) else "NO"
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 1, 0
    add_dimensions(ds, author.uid("segmentation", "dimensions"), SEGMENT_NUMBER, POSITION)
    every = np.concatenate(planes)
    indices = np.stack([numbers, ranks[every]], axis=1)
    add_frames(ds, stack, positions, every, indices, numbers)
    frames = PackedFrames([extents[n - 1] for n in numbers], every, int(ds.Rows), int(ds.Columns))
    if len(frames) > LONGEST:
        raise EncodingError(f"{len(numbers)} frames are more than one element can hold")
    ds.add(DataElement("PixelData", "OB", frames if len(frames) > IN_MEMORY_BYTES else frames.read()))
    return ds


def find_masks(stack: Stack, result: Result) -> list[Extent]:
    """The extents of the segments of `result` that are not empty. Raises EncodingError as encode_segmentation does."""
    check_masks(stack, result)
    extents = find_extents(result)
    if not extents:
        raise EncodingError("no segment has a voxel: there is nothing to segment")
    return extents


def check_masks(stack: Stack, result: Result) -> None:
    """Raise EncodingError that names the segment unless every mask is bool and lies on the grid of `stack`."""
    for segment in result.segments:
        if segment.shape != stack.shape:
            raise EncodingError(f"mask of {segment.key!r} has shape {segment.shape}, its stack {stack.shape}")
        if segment.label_mask is None and segment.mask.dtype != np.bool_:
            raise EncodingError(f"mask of {segment.key!r} is {segment.mask.dtype}, not bool")


def new_segmentation(
    stack: Stack, author: Authorship, extents: Sequence[Extent], sop_class: str, part: str, series_number: int
) -> Dataset:
    """What a Segmentation of any type says: whose, where, of which images, what its segments are (PS3.3 C.8.20)."""
    ds = new_object(
        stack.first, author, sop_class, "SEG", part, series_number, f"AI, not reviewed: {author.manifest.title}"
    )
    add_place(ds, stack, author.order)  # no Laterality: each segment says its own
    _, ds.Rows, ds.Columns = stack.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.ContentLabel = "AI_SEGMENTATION"
    ds.ContentDescription = author.describe(f"{author.manifest.name} {author.manifest.version}")
    ds.ContentCreatorName = ""
    add_lossy_history(ds, stack.first)
    ds.ReferencedSeriesSequence = [
        *reference_series(stack.headers, "ReferencedInstanceSequence"),
        *reference_predecessors(author.find_predecessors(part, sop_class, "SEG")),
    ]
    ds.SegmentSequence = [_segment_item(number, extent.segment, author) for number, extent in enumerate(extents, 1)]
    ds.SharedFunctionalGroupsSequence = [shared_geometry(stack)]
    return ds


def plane_positions(stack: Stack) -> list[list[float]]:
    """Image Position (Patient) of each plane, in mm, as its source frame has it.

    Raises EncodingError when one is absent or lies further than half a plane from where the stack has it: the
    mask would be laid over another image than the one it was found in.
    """
    step = float(np.linalg.norm(stack.affine[:3, 0]))
    positions, expected = [], stack.positions
    for k in range(stack.shape[0]):
        position = _source_position(stack, k)
        if float(np.linalg.norm(np.array(position) - expected[k])) > step / 2:
            raise EncodingError(f"plane {k} of the stack is not where its source frame lies")
        positions.append(position)
    return positions


def _source_position(stack: Stack, k: int) -> list[float]:
    index, number = stack.frames[k]
    header = stack.headers[index]
    try:
        if "PerFrameFunctionalGroupsSequence" in header:
            header = header.PerFrameFunctionalGroupsSequence[number - 1].PlanePositionSequence[0]
        x, y, z = (float(value) for value in find_value(header, "ImagePositionPatient"))
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise EncodingError(f"plane {k} of the stack has no Image Position (Patient)") from error
    return [x, y, z]


def rank_planes(stack: Stack, positions: list[list[float]], extents: Sequence[Extent]) -> Indices:
    """For each plane its rank from 1, along the normal of rows and columns, among those that any segment meets; 0 for
    the others."""
    normal = np.cross(stack.affine[:3, 2], stack.affine[:3, 1])
    planes = np.unique(np.concatenate([extent.planes for extent in extents]))
    ranks = np.zeros(stack.shape[0], np.intp)
    ranks[planes[np.argsort(np.array(positions)[planes] @ normal, kind="stable")]] = np.arange(1, len(planes) + 1)
    return ranks


def add_dimensions(ds: Dataset, organization: str, *pointers: int) -> None:
    """Frames are indexed by the attributes `pointers`, in this order (PS3.3 C.7.6.17)."""
    known = {
        SEGMENT_NUMBER: ("Referenced Segment Number", SEGMENT_IDENTIFICATION_SEQUENCE),
        POSITION: ("Image Position Patient", PLANE_POSITION_SEQUENCE),
    }
    ds.DimensionOrganizationSequence = [make_item(DimensionOrganizationUID=organization)]
    ds.DimensionIndexSequence = [
        make_item(
            DimensionOrganizationUID=organization, DimensionDescriptionLabel=known[pointer][0],
            DimensionIndexPointer=pointer, FunctionalGroupPointer=known[pointer][1],
        )
        for pointer in pointers
    ]  # fmt: skip


def add_frames(
    ds: Dataset, stack: Stack, positions: list[list[float]], planes: Indices, indices: Indices, segments: Indices | None
) -> None:
    """Number of Frames and the groups of each, as encode_frame_groups has them."""
    ds.NumberOfFrames = len(planes)
    groups = encode_frame_groups(stack, positions, planes, indices.astype(np.uint32), segments)
    ds[groups.tag] = groups
    # Declared as read in the encoding it will have, else pydicom parses the raw groups before it writes them.
    ds.set_original_encoding(False, True, convert_encodings(ds.SpecificCharacterSet))


def _segment_item(number: int, segment: Segment, author: Authorship) -> Dataset:
    """Segment Description (PS3.3 C.8.20.4): what it is, where, who says so, and under which uid it is tracked."""
    manifest, tracking = author.manifest, track(author, segment.key, segment.tracking)
    algorithm = hd.AlgorithmIdentificationSequence(
        manifest.name, to_concept(ARTIFICIAL_INTELLIGENCE), manifest.version, manifest.manufacturer
    )
    item = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.label[:64],
        segmented_property_category=to_concept(segment.category),
        segmented_property_type=to_concept(segment.kind),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
        tracking_uid=tracking.uid,
        tracking_id=tracking.identifier,
        anatomic_regions=[to_concept(segment.site)] if segment.site else None,
        display_color=hd.color.CIELabColor.from_rgb(*segment.color),
    )
    _add_laterality(item, segment.laterality)
    return item


def _add_laterality(item: Dataset, laterality: Code | None) -> None:
    """Laterality modifies the region where there is one, else the type (PS3.3 table 10-8, table C.8.20-4)."""
    if laterality is None:
        return
    if "AnatomicRegionSequence" in item:
        item.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [to_concept(laterality)]
    else:
        item.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [to_concept(laterality)]


def track(author: Authorship, key: str, earlier: Tracking | None = None) -> Tracking:
    """How the segment or finding `key` is followed: as an earlier report does, else by author and key; the same in the
    report and in the segmentation."""
    return earlier or Tracking(f"{author.manifest.name}/{key}", author.uid("track", key))
