"""A result's masks as an RT Structure Set (PS3.3 A.19): a region of interest a segment, closed contours plane by plane.

Contours run along the edges of pixels and holes are keyholes; node.dicom.contours says why. They are written in mm with
three decimals, which moves a point by less than 0.001 mm and takes fewer than the 16 characters of a Decimal String.
A value of such strings ends at 64 kB in Explicit VR (PS3.3 C.8.8.6, note), so longer contours are cut into strips.
Contour Sequences are put together as bytes: a value object for each of some million coordinates would take minutes.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import RTStructureSetStorage

from node.dicom.authorship import Authorship
from node.dicom.codes import ARTIFICIAL_INTELLIGENCE, to_concept
from node.dicom.context import new_object
from node.dicom.contours import Points, trace_contours
from node.dicom.explicit_vr import encode_item, encode_sequence, encode_short
from node.dicom.extent import PLANES_AT_ONCE, Extent
from node.dicom.functional_groups import add_place, frame_reference, image_references, make_item
from node.dicom.plain import encode_elements
from node.dicom.segmentation import find_masks, plane_positions, track
from node.dicom.stack import Stack
from pipelines.terms import Result, Segment

DETACHED_STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"
"""Retired, yet the class of RT Referenced Study (PS3.3 C.8.8.5.4)."""

ANATOMY = {("123037004", "SCT"), ("85756007", "SCT")}
"""Categories of what is an organ: Anatomical Structure, Tissue. What is no organ has no RT ROI Interpreted Type: that
something is a target is a physician's decision."""

LONGEST_VALUE = 0xFFFE
ROI_CONTOUR_SEQUENCE = Tag(0x30060039)


def encode_structure_set(stack: Stack, result: Result, author: Authorship, *, series_number: int = 7008) -> Dataset:
    """The segments of `result` that are not empty, as one RT Structure Set with a region of interest for each.

    Masks lie on the stack's grid: a contour lies in the plane of its source frame stack.frames[k] and names it, so
    that axial, tilted, uneven, sagittal and oblique stacks are all exact. Nobody has approved it: UNAPPROVED.
    Raises EncodingError when no mask has a voxel, when a mask's shape is not the stack's, or when the source has no
    frame of reference or lies elsewhere than the stack says.
    """
    extents = find_masks(stack, result)
    ds = new_object(
        stack.first, author, RTStructureSetStorage, "RTSTRUCT", "structure set", series_number,
        f"AI, not reviewed: {author.manifest.title}",
    )  # fmt: skip
    add_place(ds, stack, author.order)
    ds.pop("BodyPartExamined", None)  # no attribute of RT Series (PS3.3 C.8.8.1)
    ds.OperatorsName = ""
    _add_structure_set(ds, stack, author, [extent.segment for extent in extents])
    contours = _Contours(stack, plane_positions(stack))
    rois = b"".join(encode_item(_roi_contour(number, extent, contours)) for number, extent in enumerate(extents, 1))
    ds[ROI_CONTOUR_SEQUENCE] = RawDataElement(ROI_CONTOUR_SEQUENCE, "SQ", len(rois), rois, 0, False, True)
    ds.RTROIObservationsSequence = [_observation(number, extent.segment) for number, extent in enumerate(extents, 1)]
    ds.ApprovalStatus = "UNAPPROVED"
    # Declared as read in the encoding it will have, else pydicom parses the raw contours before it writes them.
    ds.set_original_encoding(False, True, convert_encodings(ds.SpecificCharacterSet))
    return ds


def _add_structure_set(ds: Dataset, stack: Stack, author: Authorship, segments: Sequence[Segment]) -> None:
    """Structure Set (PS3.3 C.8.8.5): what it is, of which images, and which regions it has."""
    manifest = author.manifest
    ds.StructureSetLabel, ds.StructureSetName = "AI NOT REVIEWED", manifest.title[:64]
    ds.StructureSetDescription = (
        f"AI output of {manifest.name} {manifest.version}, not reviewed. {manifest.intended_use}."
        f" Not for: {manifest.not_for}."
    )[:1024]
    ds.StructureSetDate, ds.StructureSetTime = ds.ContentDate, ds.ContentTime
    del ds.ContentDate, ds.ContentTime  # those of images and documents
    series = make_item(SeriesInstanceUID=stack.series_uid, ContourImageSequence=image_references(stack))
    study = make_item(
        ReferencedSOPClassUID=DETACHED_STUDY_MANAGEMENT,
        ReferencedSOPInstanceUID=stack.study_uid,
        RTReferencedSeriesSequence=[series],
    )
    frame = make_item(FrameOfReferenceUID=stack.frame_of_reference_uid, RTReferencedStudySequence=[study])
    ds.ReferencedFrameOfReferenceSequence = [frame]
    labels = Counter(segment.label for segment in segments)
    ds.StructureSetROISequence = [
        _region(number, segment, stack, author, labels[segment.label] == 1)
        for number, segment in enumerate(segments, 1)
    ]


def _region(number: int, segment: Segment, stack: Stack, author: Authorship, alone: bool) -> Dataset:
    """An item of Structure Set ROI Sequence. Names are told apart by the key, for some systems know regions by name."""
    manifest = author.manifest
    algorithm = hd.AlgorithmIdentificationSequence(
        manifest.name, to_concept(ARTIFICIAL_INTELLIGENCE), manifest.version, manifest.manufacturer
    )
    return make_item(
        ROINumber=number,
        ReferencedFrameOfReferenceUID=stack.frame_of_reference_uid,
        ROIName=(segment.label if alone else f"{segment.key} {segment.label}")[:64],
        ROIDescription=f"AI, not reviewed: {track(author, segment.key, segment.tracking).identifier}"[:1024],
        ROIGenerationAlgorithm="AUTOMATIC",
        ROIGenerationDescription=f"{manifest.name} {manifest.version}"[:64],
        ROIDerivationAlgorithmIdentificationSequence=algorithm,
    )


def _observation(number: int, segment: Segment) -> Dataset:
    """An item of RT ROI Observations Sequence (PS3.3 C.8.8.8): what the region is, in codes."""
    kind = to_concept(segment.kind)
    item = make_item(
        ObservationNumber=number,
        ReferencedROINumber=number,
        SegmentedPropertyCategoryCodeSequence=[to_concept(segment.category)],
        RTROIIdentificationCodeSequence=[kind],
        RTROIInterpretedType="ORGAN" if (segment.category.value, segment.category.scheme) in ANATOMY else "",
        ROIInterpreter="",
    )
    if segment.laterality is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = [to_concept(segment.laterality)]
    if segment.site is not None:
        item.AnatomicRegionSequence = [to_concept(segment.site)]
    return item


def _roi_contour(number: int, extent: Extent, contours: "_Contours") -> bytes:
    """An item of ROI Contour Sequence (PS3.3 C.8.8.6): its elements in order of tag."""
    color = encode_elements(make_item(ROIDisplayColor=list(extent.segment.color)))
    reference = encode_elements(make_item(ReferencedROINumber=number))
    return color + encode_sequence(0x30060040, *contours.encode(extent)) + reference


class _Contours:
    """Contours on the planes of one stack, as the elements of items of Contour Sequence."""

    def __init__(self, stack: Stack, positions: Sequence[Sequence[float]]) -> None:
        self._stack = stack
        self._origins = np.array(positions)
        self._steps = stack.affine[:3, 1:3].T
        self._images: dict[int, bytes] = {}
        corners = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]) * np.array(stack.shape[1:])
        farthest = max(float(np.abs(self._to_mm(k, corners)).max()) for k in range(stack.shape[0]))
        self._most_points = LONGEST_VALUE // (3 * len(f"-{farthest:.3f}\\"))

    def encode(self, extent: Extent) -> Iterator[bytes]:
        """The elements of each contour of a segment, numbered from 1 (PS3.3 C.8.8.6)."""
        number = 0
        offset = np.array([extent.rows.start, extent.columns.start])
        for start in range(0, len(extent.planes), PLANES_AT_ONCE):
            planes = extent.planes[start : start + PLANES_AT_ONCE]
            for n, points in trace_contours(extent.crop(planes), self._most_points):
                number += 1
                yield self._encode_contour(number, int(planes[n]), points + offset)

    def _encode_contour(self, number: int, k: int, points: Points) -> bytes:
        if k not in self._images:
            self._images[k] = encode_sequence(0x30060016, encode_elements(frame_reference(self._stack, k)))
        numbers = (self._to_mm(k, points).round(3) + 0.0).ravel().tolist()
        return (
            self._images[k]
            + encode_short(0x30060042, b"CS", b"CLOSED_PLANAR ")
            + encode_short(0x30060046, b"IS", _pad(str(len(points))))
            + encode_short(0x30060048, b"IS", _pad(str(number)))
            + encode_short(0x30060050, b"DS", _pad("\\".join(map(repr, numbers))))
        )

    def _to_mm(self, k: int, points: Points) -> NDArray[np.float64]:
        """Corners of pixels on plane k in the patient: half a pixel before the center of the pixel that they open."""
        places: NDArray[np.float64] = self._origins[k] + (points - 0.5) @ self._steps
        return places


def _pad(text: str) -> bytes:
    """Text of an even length (PS3.5 6.2)."""
    return (text + " " * (len(text) % 2)).encode("ascii")
