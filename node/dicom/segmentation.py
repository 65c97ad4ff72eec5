"""A result's masks as a BINARY Segmentation object (PS3.3 A.51).

Written attribute by attribute: highdicom 0.28.2 stamps the present time and random uids into it, wants all planes of
a multi-frame source under one shared orientation, copies the source's Spacing Between Slices unseen and pads pixel
data with a character. Here one frame is one source frame, and the same result makes the same bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import SegmentationStorage
from pydicom.valuerep import DSfloat

from node.dicom.authorship import Authorship
from node.dicom.codes import ARTIFICIAL_INTELLIGENCE, SEGMENTATION_DERIVATION, SOURCE_IMAGE, to_concept
from node.dicom.context import copy_request, copy_valid, new_object, reference_series
from node.dicom.stack import Stack
from node.errors import EncodingError
from pipelines.terms import Code, Mask, Result, Segment

Vector = NDArray[np.float64]

POSITION, ORIENTATION, SEGMENT_NUMBER = 0x00200032, 0x00200037, 0x0062000B
FRAMES_A_BATCH = 8
"""So many frames always fill whole bytes, whatever their size: bits run on across frames (PS3.5 8.1.1)."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """One frame to write: the segment's number from 1, the plane k of the stack, its rank along the normal from 1."""

    segment: int
    plane: int
    rank: int


def encode_segmentation(stack: Stack, result: Result, author: Authorship, *, series_number: int = 7001) -> Dataset:
    """The segments of `result` that are not empty, as one Segmentation with a frame for each plane each of them meets.

    Masks lie on the stack's grid: plane k is the source frame stack.frames[k]. Segments may overlap.
    Raises EncodingError when no mask has a voxel, when a mask's shape is not the stack's, or when the source has no
    frame of reference or lies elsewhere than the stack says. The headers of `stack` stay as they are.
    """
    segments = _non_empty_segments(stack, result)
    positions = plane_positions(stack)
    frames = list(_frames(segments, _ranks(stack, positions, segments)))
    ds = new_object(
        stack.first, author, SegmentationStorage, "SEG", "segmentation", series_number,
        f"AI, not reviewed: {author.manifest.title}",
    )  # fmt: skip
    _add_series(ds, stack)
    _add_image(ds, stack, author, segments)
    _add_dimensions(ds, author)
    ds.ReferencedSeriesSequence = reference_series(stack.headers, "ReferencedInstanceSequence")
    ds.SegmentSequence = [_segment_item(number, segment, author) for number, segment in enumerate(segments, 1)]
    ds.SharedFunctionalGroupsSequence = [_shared_groups(stack)]
    ds.PerFrameFunctionalGroupsSequence = _frame_groups(stack, positions, frames)
    ds.NumberOfFrames = len(frames)
    ds.add(DataElement("PixelData", "OB", _pack([segments[f.segment - 1].mask[f.plane] for f in frames])))
    return ds


def _non_empty_segments(stack: Stack, result: Result) -> list[Segment]:
    for segment in result.segments:
        if segment.mask.shape != stack.shape:
            raise EncodingError(f"mask of {segment.key!r} has shape {segment.mask.shape}, its stack {stack.shape}")
        if segment.mask.dtype != np.bool_:
            raise EncodingError(f"mask of {segment.key!r} is {segment.mask.dtype}, not bool")
    segments = [segment for segment in result.segments if segment.mask.any()]
    if not segments:
        raise EncodingError("no segment has a voxel: there is nothing to segment")
    return segments


def plane_positions(stack: Stack) -> list[list[float]]:
    """Image Position (Patient) of each plane, in mm, as its source frame has it.

    Raises EncodingError when one is absent or lies further than half a plane from where stack.affine puts it: the
    mask would be laid over another image than the one it was found in.
    """
    step = float(np.linalg.norm(stack.affine[:3, 0]))
    positions = []
    for k in range(stack.shape[0]):
        position = _source_position(stack, k)
        expected: Vector = stack.affine @ np.array([k, 0.0, 0.0, 1.0])
        if float(np.linalg.norm(np.array(position) - expected[:3])) > step / 2:
            raise EncodingError(f"plane {k} of the stack is not where its source frame lies")
        positions.append(position)
    return positions


def _source_position(stack: Stack, k: int) -> list[float]:
    index, number = stack.frames[k]
    header = stack.headers[index]
    try:
        if "PerFrameFunctionalGroupsSequence" in header:
            header = header.PerFrameFunctionalGroupsSequence[number - 1].PlanePositionSequence[0]
        x, y, z = (float(value) for value in header.ImagePositionPatient)
    except (AttributeError, IndexError, TypeError, ValueError) as error:
        raise EncodingError(f"plane {k} of the stack has no Image Position (Patient)") from error
    return [x, y, z]


def _ranks(stack: Stack, positions: list[list[float]], segments: list[Segment]) -> dict[int, int]:
    """Plane -> rank among the planes that any segment meets, counted along the normal of rows and columns."""
    normal = np.cross(stack.affine[:3, 2], stack.affine[:3, 1])
    met = np.logical_or.reduce([segment.mask.any(axis=(1, 2)) for segment in segments])
    planes = [int(k) for k in np.flatnonzero(met)]
    planes.sort(key=lambda k: float(np.dot(positions[k], normal)))
    return {plane: rank for rank, plane in enumerate(planes, 1)}


def _frames(segments: list[Segment], ranks: dict[int, int]) -> Iterator[_Frame]:
    for number, segment in enumerate(segments, 1):
        for plane, rank in ranks.items():
            if segment.mask[plane].any():
                yield _Frame(number, plane, rank)


def _add_series(ds: Dataset, stack: Stack) -> None:
    """General Series and Frame of Reference, as far as they come from the source."""
    if not stack.first.get("FrameOfReferenceUID"):
        raise EncodingError("FrameOfReferenceUID is absent in the source: masks would have no place")
    ds.FrameOfReferenceUID = stack.frame_of_reference_uid
    ds.PositionReferenceIndicator = str(stack.first.get("PositionReferenceIndicator") or "")
    ds.update(copy_valid(stack.first, ["BodyPartExamined"]))  # no Laterality: each segment says its own
    if request := copy_request(stack.first):
        ds.RequestAttributesSequence = request


def _add_image(ds: Dataset, stack: Stack, author: Authorship, segments: list[Segment]) -> None:
    """Image Pixel and Segmentation Image (PS3.3 C.8.20.2)."""
    _, ds.Rows, ds.Columns = stack.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 1, 1, 0
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.SegmentationType = "BINARY"
    ds.SegmentsOverlap = "YES" if _overlap([segment.mask for segment in segments]) else "NO"
    ds.ContentLabel = "AI_SEGMENTATION"
    ds.ContentDescription = f"{author.manifest.name} {author.manifest.version}"[:64]
    ds.ContentCreatorName = ""
    lossy = copy_valid(
        stack.first, ["LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"]
    )
    ds.LossyImageCompression = "00"
    if lossy.get("LossyImageCompression") == "01" and len(lossy) == 3:
        ds.update(lossy)


def _overlap(masks: Sequence[Mask]) -> bool:
    union = masks[0]
    for mask in masks[1:]:
        if bool(np.any(union & mask)):
            return True
        union = union | mask
    return False


def _add_dimensions(ds: Dataset, author: Authorship) -> None:
    """Frames are indexed by segment, then by place along the normal (PS3.3 C.7.6.17)."""
    organization = author.uid("segmentation", "dimensions")
    ds.DimensionOrganizationSequence = [_item(DimensionOrganizationUID=organization)]
    ds.DimensionIndexSequence = [
        _item(
            DimensionOrganizationUID=organization, DimensionDescriptionLabel=label,
            DimensionIndexPointer=pointer, FunctionalGroupPointer=group,
        )
        for label, pointer, group in (
            ("Segment Number", SEGMENT_NUMBER, 0x0062000A),
            ("Image Position Patient", POSITION, 0x00209113),
        )
    ]  # fmt: skip


def _segment_item(number: int, segment: Segment, author: Authorship) -> Dataset:
    """Segment Description (PS3.3 C.8.20.4): what it is, where, who says so, and under which uid it is tracked."""
    manifest = author.manifest
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
        tracking_uid=author.uid("track", segment.key),
        tracking_id=tracking_identifier(author, segment.key),
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
        item.SegmentedPropertyTypeModifierCodeSequence = [to_concept(laterality)]


def tracking_identifier(author: Authorship, key: str) -> str:
    """Tracking Identifier, for people, of the segment or finding `key`: the same in the report and the segmentation."""
    return f"{author.manifest.name}/{key}"


def _shared_groups(stack: Stack) -> Dataset:
    """Geometry of all frames from the stack's affine: unit cosines, and the planes' distance along their normal."""
    row_step, column_step = stack.affine[:3, 1], stack.affine[:3, 2]
    row_spacing, column_spacing = float(np.linalg.norm(row_step)), float(np.linalg.norm(column_step))
    cosines = [*(column_step / column_spacing), *(row_step / row_spacing)]
    normal = np.cross(column_step, row_step)
    distance = abs(float(np.dot(stack.affine[:3, 0], normal / np.linalg.norm(normal))))
    measures = _item(
        SliceThickness=_ds(_slice_thickness(stack) or distance),
        SpacingBetweenSlices=_ds(distance),
        PixelSpacing=[_ds(row_spacing), _ds(column_spacing)],
    )
    orientation = _item(ImageOrientationPatient=[_ds(round(float(cosine), 12)) for cosine in cosines])
    return _item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])


def _slice_thickness(stack: Stack) -> float | None:
    """Slice Thickness of the source in mm, when it has one that can be true."""
    index, number = stack.frames[0]
    places = [stack.headers[index]]
    groups = stack.headers[index].get("PerFrameFunctionalGroupsSequence")
    shared = stack.headers[index].get("SharedFunctionalGroupsSequence")
    for group in ([groups[number - 1]] if groups else []) + list(shared or []):
        places += list(group.get("PixelMeasuresSequence") or [])
    for place in places:
        value = copy_valid(place, ["SliceThickness"]).get("SliceThickness")
        if value is not None and 0 < float(value) < 1000:
            return float(value)
    return None


def _frame_groups(stack: Stack, positions: list[list[float]], frames: list[_Frame]) -> Items:
    """Per-frame functional groups. What depends on the plane alone is made once and shared by its segments."""
    derivation = {k: [_derivation(stack, k)] for k in {frame.plane for frame in frames}}
    place = {k: [_item(ImagePositionPatient=[_ds(v) for v in positions[k]])] for k in derivation}
    return Items(
        _item(
            DerivationImageSequence=derivation[frame.plane],
            FrameContentSequence=[_item(DimensionIndexValues=[frame.segment, frame.rank])],
            PlanePositionSequence=place[frame.plane],
            SegmentIdentificationSequence=[_item(ReferencedSegmentNumber=frame.segment)],
        )
        for frame in frames
    )


def _derivation(stack: Stack, k: int) -> Dataset:
    """Derivation Image (PS3.3 C.7.6.16.2.6): the one source frame that plane k is."""
    index, number = stack.frames[k]
    header = stack.headers[index]
    source = _item(
        ReferencedSOPClassUID=header.SOPClassUID,
        ReferencedSOPInstanceUID=header.SOPInstanceUID,
        SpatialLocationsPreserved="YES",
        PurposeOfReferenceCodeSequence=[to_concept(SOURCE_IMAGE)],
    )
    if int(header.get("NumberOfFrames") or 1) > 1 or "PerFrameFunctionalGroupsSequence" in header:
        source.ReferencedFrameNumber = number
    return _item(DerivationCodeSequence=[to_concept(SEGMENTATION_DERIVATION)], SourceImageSequence=[source])


def _pack(planes: Sequence[Mask]) -> bytes:
    """Planes as one run of bits, least significant first, padded to an even length (PS3.5 8.1.1)."""
    batches = [
        np.packbits(
            np.concatenate([plane.ravel() for plane in planes[start : start + FRAMES_A_BATCH]]), bitorder="little"
        )
        for start in range(0, len(planes), FRAMES_A_BATCH)
    ]
    packed = b"".join(batch.tobytes() for batch in batches)
    return packed + b"\0" * (len(packed) % 2)


def _ds(value: float) -> DSfloat:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    return DSfloat(value + 0.0, auto_format=True)


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
