"""Every deliberate defect, in every kind of object that we send, is caught and named.

What dciodvfy (dicom3tools) says of the same defects is printed, as a table for the documentation, by

    python -m tests.node.dicom.test_output_gate_mutants

dciodvfy 1.00 of 2022 finds 56 of 129: segmentation 23 of 46, labelmap 1 of 4 (it does not know the class), report 16 of
36, presentation 2 of 9, key objects 3 of 6, capture 3 of 6, map 3 of 6, structures 2 of 10, document 3 of 6. What it
misses lies beyond the tables: where frames lie, what references point to, what a report says of itself.
"""

import copy
import functools
import tempfile
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import UID

from node.dicom import codes
from node.dicom.capture import encode_capture
from node.dicom.codes import to_concept
from node.dicom.document import encode_document
from node.dicom.key_objects import encode_key_objects
from node.dicom.labelmap import encode_labelmap
from node.dicom.output_gate import check_objects
from node.dicom.parametric_map import encode_parametric_maps
from node.dicom.presentation import encode_presentation
from node.dicom.registration import encode_registrations
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.structure_set import encode_structure_set
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Code, Field, Registration, Result, ScalarMap, Volume
from tests.judges import dciodvfy_errors
from tests.results import make_author, make_finding, make_segment, make_stack
from tests.series import make_series

SHAPE = (5, 16, 18)
FOREIGN = "1.2.3.4.5.6.7.8.9"
PROBABILITY = Code("C204015", "NCIt", "Probability")
NO_UNITS = Code("1", "UCUM", "no units")


@functools.cache
def make_source():
    return make_stack(make_series(SHAPE))


@functools.cache
def make_prior():
    return make_stack(
        make_series(SHAPE, StudyInstanceUID="1.2.7.1", SeriesInstanceUID="1.2.7.2", FrameOfReferenceUID="1.2.7.3")
    )


def make_registration():
    """A shift, with a field on a grid of 4 mm."""
    matrix = np.eye(4)
    affine = np.array([[0, 0, 4.0, -10], [0, 4.0, 0, -20], [4.0, 0, 0, 30], [0, 0, 0, 1]])
    matrix[:3, 3] = (3, -4, 55)
    return Registration("prior", "1.2.7.3", "earlier study", matrix, Field(np.ones((2, 3, 4, 3), np.float32), affine))


@functools.cache
def encode_all():
    """Kind -> file: every object of one result with two nodules that lie apart, a map, and an earlier study."""
    stack, author = make_source(), make_author()
    masks = np.zeros((2, *SHAPE), bool)
    masks[0, 1:4, 3:8, 3:9], masks[1, 0:3, 9:13, 10:15] = True, True
    segments = tuple(make_segment(mask, f"nodule-{n}") for n, mask in enumerate(masks, 1))
    values = np.linspace(0, 1, int(np.prod(SHAPE)), dtype=np.float32).reshape(SHAPE)
    result = Result(
        segments,
        tuple(make_finding(segment.key) for segment in segments),
        maps=(ScalarMap("probability", "Probability of nodule", values, PROBABILITY, NO_UNITS),),
        registrations=(make_registration(),),
    )
    volume = Volume(np.zeros(SHAPE, np.float32), stack.affine, stack.frame_of_reference_uid, "CT")
    segmentation = encode_segmentation(stack, result, author)
    registration, deformable = encode_registrations(stack, [make_prior()], result, author)
    made = {
        "segmentation": segmentation,
        "labelmap": encode_labelmap(stack, result, author),
        "report": encode_report(stack, result, author, segmentation),
        "presentation": encode_presentation(stack, result, author, limits=(-1000, 1000)),
        "key objects": encode_key_objects(stack, result, author),
        "capture": encode_capture(stack, volume, result, author),
        "map": encode_parametric_maps(stack, result, author)[0],
        "structures": encode_structure_set(stack, result, author),
        "document": encode_document(stack, volume, result, author),
        "registration": registration,
        "deformable": deformable,
    }
    with tempfile.TemporaryDirectory() as folder:
        for kind, ds in made.items():
            write_dicom(ds, Path(folder) / kind)
        return {kind: (Path(folder) / kind).read_bytes() for kind in made}


def read_object(kind):
    """A fresh copy of the object of that kind, as it comes from its file."""
    return pydicom.dcmread(BytesIO(encode_all()[kind]))


def check(kind, ds):
    """The gate on an object, with the segmentation that a report speaks of."""
    others = [read_object("segmentation")] if kind == "report" else []
    check_objects([*others, ds], make_source().headers, prior_headers=make_prior().headers)


def put(keyword, value):
    return lambda ds: setattr(ds, keyword, value)


def drop(keyword):
    return lambda ds: delattr(ds, keyword)


def inside(*path):
    """What stands at a path of keywords, the first item of each; then put or drop there."""

    def find(ds):
        for keyword in path:
            ds = ds[keyword].value[0]
        return ds

    return find


def at(find, spoil):
    return lambda ds: spoil(find(ds))


def walk(item):
    for child in item.get("ContentSequence") or []:
        yield child
        yield from walk(child)


def concept(value):
    """The first content item with that concept name."""

    def find(ds):
        for item in walk(ds):
            if item.get("ConceptNameCodeSequence") and item.ConceptNameCodeSequence[0].CodeValue == value:
                return item
        raise AssertionError(f"no content item has the concept {value}")

    return find


def drop_concept(value):
    def spoil(ds):
        for item in [ds, *walk(ds)]:
            children = item.get("ContentSequence") or []
            kept = [c for c in children if c.get("ConceptNameCodeSequence", [Dataset()])[0].get("CodeValue") != value]
            if len(kept) < len(children):
                item.ContentSequence = kept

    return spoil


def number(ds):
    return next(item for item in walk(ds) if item.ValueType == "NUM").MeasuredValueSequence[0]


def frame(n):
    return lambda ds: ds.PerFrameFunctionalGroupsSequence[n]


def source(n):
    return lambda ds: frame(n)(ds).DerivationImageSequence[0].SourceImageSequence[0]


def swap_positions(ds):
    one, other = (frame(n)(ds).PlanePositionSequence[0] for n in (0, 1))
    one.ImagePositionPatient, other.ImagePositionPatient = other.ImagePositionPatient, one.ImagePositionPatient


def swap_indexes(ds):
    one, other = (frame(n)(ds).FrameContentSequence[0] for n in (0, 1))
    one.DimensionIndexValues, other.DimensionIndexValues = other.DimensionIndexValues, one.DimensionIndexValues


def repeat_index(ds):
    one, other = (frame(n)(ds).FrameContentSequence[0] for n in (0, 1))
    one.DimensionIndexValues = other.DimensionIndexValues


def skip_index(ds):
    for group in ds.PerFrameFunctionalGroupsSequence:
        segment, place = group.FrameContentSequence[0].DimensionIndexValues
        group.FrameContentSequence[0].DimensionIndexValues = [segment, place + 1]


def drop_segment_frames(ds):
    kept = [
        group for group in ds.PerFrameFunctionalGroupsSequence
        if group.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 1
    ]  # fmt: skip
    ds.PerFrameFunctionalGroupsSequence, ds.NumberOfFrames = kept, len(kept)
    length = -(-len(kept) * ds.Rows * ds.Columns // 8)
    ds.PixelData = ds.PixelData[: length + length % 2]


def add_private(ds):
    ds.private_block(0x0099, "Somebody", create=True).add_new(1, "LO", "secret")


def move_contour(ds):
    contour = ds.ROIContourSequence[0].ContourSequence[0]
    points = [float(value) for value in contour.ContourData]
    contour.ContourData = [value + 0.5 if n % 3 == 2 else value for n, value in enumerate(points)]


def other_algorithm(ds):
    ds.ContributingEquipmentSequence[-1].SoftwareVersions = "9.9"


def contradict(ds):
    concept("111017")(ds).ConceptCodeSequence = [to_concept(codes.WITHOUT_FINDINGS)]


def add_evidence(ds):
    """One more instance, which no content item names."""
    listed = ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence
    named = {item.ReferencedSOPInstanceUID for item in listed}
    missing = next(h for h in make_source().headers if h.SOPInstanceUID not in named)
    listed.append(copy.deepcopy(listed[0]))
    listed[-1].ReferencedSOPInstanceUID = missing.SOPInstanceUID


SEGMENT = inside("SegmentSequence")
SHARED = inside("SharedFunctionalGroupsSequence")
EVIDENCE = inside("CurrentRequestedProcedureEvidenceSequence", "ReferencedSeriesSequence", "ReferencedSOPSequence")
GRAPHIC = inside("GraphicAnnotationSequence", "GraphicObjectSequence")
CONTOUR = inside("ROIContourSequence", "ContourSequence")

MATRIX = "FrameOfReferenceTransformationMatrix"
GRID = inside("DeformableRegistrationSequence", "DeformableRegistrationGridSequence")


def STILL(ds):  # noqa: N802  a place, as CONTOUR is
    return ds.RegistrationSequence[0].MatrixRegistrationSequence[0].MatrixSequence[0]


def MOTION(ds):  # noqa: N802
    return ds.RegistrationSequence[1].MatrixRegistrationSequence[0].MatrixSequence[0]


def spoil_matrix(place, value):
    def spoil(item):
        item[MATRIX].value[place] = value

    return spoil


def exchange_frames(ds):
    one, other = ds.RegistrationSequence
    one.FrameOfReferenceUID, other.FrameOfReferenceUID = other.FrameOfReferenceUID, one.FrameOfReferenceUID


def exchange_grid(ds):
    moving, still = ds.DeformableRegistrationSequence
    still.DeformableRegistrationGridSequence = moving.DeformableRegistrationGridSequence
    del moving.DeformableRegistrationGridSequence


MUTANTS = {
    "segmentation": {
        "no frame of reference": (drop("FrameOfReferenceUID"), "FrameOfReferenceUID"),
        "another frame of reference": (put("FrameOfReferenceUID", FOREIGN), "FrameOfReferenceUID"),
        "no content label": (drop("ContentLabel"), "ContentLabel"),
        "an empty content label": (put("ContentLabel", ""), "ContentLabel"),
        "no content description": (drop("ContentDescription"), "ContentDescription"),
        "a label in small letters": (put("ContentLabel", "label"), "ContentLabel"),
        "a type that is none": (put("SegmentationType", "BITS"), "SegmentationType"),
        "eight bits declared": (put("BitsAllocated", 8), "BitsAllocated"),
        "another modality": (put("Modality", "OT"), "Modality"),
        "attribute of another IOD": (put("KVP", "120"), "KVP"),
        "private attribute": (add_private, "0099,0010"),
        "no dimension index": (drop("DimensionIndexSequence"), "DimensionIndexSequence"),
        "no segments": (put("SegmentSequence", []), "SegmentSequence"),
        "segment without a type": (at(SEGMENT, drop("SegmentedPropertyTypeCodeSequence")), "SegmentedPropertyType"),
        "segment without an algorithm's name": (at(SEGMENT, drop("SegmentAlgorithmName")), "SegmentAlgorithmName"),
        "algorithm type that is none": (at(SEGMENT, put("SegmentAlgorithmType", "AI")), "SegmentAlgorithmType"),
        "segment with a tracking id alone": (at(SEGMENT, drop("TrackingUID")), "TrackingUID"),
        "category without a meaning": (
            at(inside("SegmentSequence", "SegmentedPropertyCategoryCodeSequence"), drop("CodeMeaning")),
            "CodeMeaning",
        ),
        "category without a scheme": (
            at(inside("SegmentSequence", "SegmentedPropertyCategoryCodeSequence"), drop("CodingSchemeDesignator")),
            "CodingSchemeDesignator",
        ),
        "modifier beside the type": (
            at(SEGMENT, put("SegmentedPropertyTypeModifierCodeSequence", [to_concept(PROBABILITY)])),
            "SegmentedPropertyTypeModifierCodeSequence",
        ),
        "colors of two numbers": (
            at(SEGMENT, put("RecommendedDisplayCIELabValue", [1, 2])),
            "RecommendedDisplayCIELab",
        ),
        "segments from three": (at(SEGMENT, put("SegmentNumber", 3)), "SegmentNumber"),
        "segment without a frame": (drop_segment_frames, "SegmentSequence"),
        "another algorithm in a segment": (
            at(inside("SegmentSequence", "SegmentationAlgorithmIdentificationSequence"), put("AlgorithmVersion", "9")),
            "SegmentationAlgorithmIdentificationSequence",
        ),
        "a frame too many declared": (put("NumberOfFrames", 99), "NumberOfFrames"),
        "pixels cut": (lambda ds: put("PixelData", ds.PixelData[:-2])(ds), "PixelData"),
        "frame without its content": (at(frame(1), drop("FrameContentSequence")), "FrameContentSequence"),
        "frame without a place": (at(frame(1), drop("PlanePositionSequence")), "ImagePositionPatient"),
        "frame with an empty item": (at(frame(2), put("PlanePositionSequence", [Dataset()])), "PlanePositionSequence"),
        "frame of an unknown image": (at(source(0), put("ReferencedSOPInstanceUID", FOREIGN)), "SourceImageSequence"),
        "frame of a frame that is none": (at(source(0), put("ReferencedFrameNumber", 2)), "ReferencedFrameNumber"),
        "frames swapped": (swap_positions, "ImagePositionPatient"),
        "indexes swapped": (swap_indexes, "DimensionIndexValues"),
        "an index twice": (repeat_index, "DimensionIndexValues"),
        "indexes from two": (skip_index, "DimensionIndexValues"),
        "no pixel spacing": (at(SHARED, drop("PixelMeasuresSequence")), "PixelMeasuresSequence"),
        "another pixel spacing": (
            at(inside("SharedFunctionalGroupsSequence", "PixelMeasuresSequence"), put("PixelSpacing", [1, 1])),
            "PixelSpacing",
        ),
        "mirrored": (
            at(
                inside("SharedFunctionalGroupsSequence", "PlaneOrientationSequence"),
                put("ImageOrientationPatient", [-1, 0, 0, 0, 1, 0]),
            ),
            "ImageOrientationPatient",
        ),
        "lossy without a ratio": (put("LossyImageCompression", "01"), "LossyImageCompressionRatio"),
        "series of another instance": (
            at(inside("ReferencedSeriesSequence"), put("SeriesInstanceUID", FOREIGN)),
            "ReferencedSeriesSequence.SeriesInstanceUID",
        ),
        "a day that is none": (put("ContentDate", "20240231"), "ContentDate"),
        "a range of days": (put("SeriesDate", "20240101-20240102"), "SeriesDate"),
        "equipment that contradicts": (other_algorithm, "SoftwareVersions"),
        "file of another instance": (
            lambda ds: setattr(ds.file_meta, "MediaStorageSOPInstanceUID", UID(FOREIGN)),
            "MediaStorageSOPInstanceUID",
        ),
        "title without AI": (put("SeriesDescription", "Lung nodules"), "SeriesDescription"),
        "another patient": (put("PatientID", "P-2"), "PatientID"),
    },
    "labelmap": {
        "type of the other class": (put("SegmentationType", "BINARY"), "SegmentationType"),
        "fragments too few": (put("NumberOfFrames", 9), "NumberOfFrames"),
        "segments with a gap": (lambda ds: put("SegmentNumber", 7)(ds.SegmentSequence[2]), "SegmentNumber"),
        "tracking uid twice": (
            lambda ds: put("TrackingUID", ds.SegmentSequence[1].TrackingUID)(ds.SegmentSequence[2]),
            "TrackingUID",
        ),
    },
    "report": {
        "no evidence": (drop("CurrentRequestedProcedureEvidenceSequence"), "CurrentRequestedProcedureEvidence"),
        "evidence that does not exist": (
            at(EVIDENCE, put("ReferencedSOPInstanceUID", FOREIGN)),
            "CurrentRequestedProcedureEvidenceSequence",
        ),
        "evidence of another class": (
            at(EVIDENCE, put("ReferencedSOPClassUID", "1.2.840.10008.5.1.4.1.1.4")),
            "ReferencedSOPClassUID",
        ),
        "no verification flag": (drop("VerificationFlag"), "VerificationFlag"),
        "verification flag that is none": (put("VerificationFlag", "MAYBE"), "VerificationFlag"),
        "verified by nobody": (put("VerificationFlag", "VERIFIED"), "VerifyingObserverSequence"),
        "partial, yet with findings": (put("CompletionFlag", "PARTIAL"), "CompletionFlag"),
        "no value type": (at(concept("126010"), drop("ValueType")), "ValueType"),
        "value type that is none": (at(concept("126010"), put("ValueType", "FOLDER")), "ValueType"),
        "another root template": (at(inside("ContentTemplateSequence"), put("TemplateIdentifier", "2000")), "Template"),
        "relation that the IOD has not": (at(concept("121071"), put("RelationshipType", "HAS PROPERTIES")), "Relation"),
        "text without a text": (at(concept("112039"), drop("TextValue")), "TextValue"),
        "code without a code": (at(concept("121071"), drop("ConceptCodeSequence")), "ConceptCodeSequence"),
        "two codes in one": (
            lambda ds: concept("121071")(ds).ConceptCodeSequence.append(to_concept(PROBABILITY)),
            "ConceptCodeSequence",
        ),
        "item without a name": (at(concept("112040"), drop("ConceptNameCodeSequence")), "ConceptNameCodeSequence"),
        "number without a unit": (at(number, drop("MeasurementUnitsCodeSequence")), "MeasurementUnitsCodeSequence"),
        "number without a number": (at(number, drop("NumericValue")), "NumericValue"),
        "unit that is not UCUM": (
            lambda ds: put("CodingSchemeDesignator", "99X")(number(ds).MeasurementUnitsCodeSequence[0]),
            "MeasurementUnitsCodeSequence",
        ),
        "two numbers for one": (at(number, put("FloatingPointValue", 99.5)), "FloatingPointValue"),
        "not a number": (at(number, put("FloatingPointValue", float("nan"))), "FloatingPointValue"),
        "container that says not how": (at(concept("126010"), drop("ContinuityOfContent")), "ContinuityOfContent"),
        "a code too long": (
            at(concept("121071"), lambda item: put("CodeValue", "1" * 17)(item.ConceptCodeSequence[0])),
            "CodeValue",
        ),
        "no tracking uid": (drop_concept("112040"), "TrackingUID"),
        "another tracking uid": (at(concept("112040"), put("UID", FOREIGN)), "TrackingUID"),
        "no tracking identifier": (drop_concept("112039"), "Tracking Identifier"),
        "no finding": (drop_concept("121071"), "Finding"),
        "no referenced segment": (drop_concept("121191"), "Referenced Segment"),
        "segment that is none": (
            lambda ds: put("ReferencedSegmentNumber", 7)(concept("121191")(ds).ReferencedSOPSequence[0]),
            "ReferencedSegmentNumber",
        ),
        "no image library": (drop_concept("111028"), "Image Library"),
        "no procedure reported": (drop_concept("121058"), "Procedure reported"),
        "no observer's uid": (drop_concept("121012"), "observer"),
        "another algorithm's version": (at(concept("111003"), put("TextValue", "9.9")), "Algorithm Version"),
        "an outcome that contradicts": (contradict, "outcome"),
        "no caution": (drop_concept("121106"), "caution"),
        "control characters": (at(concept("112039"), put("TextValue", "a\x00b")), "TextValue"),
        "a region of half a point": (
            lambda ds: next(i for i in walk(ds) if i.ValueType == "SCOORD").GraphicData.pop(),
            "GraphicData",
        ),
    },
    "presentation": {
        "layer that is none": (
            at(inside("GraphicAnnotationSequence"), put("GraphicLayer", "NOWHERE")),
            "GraphicLayer",
        ),
        "no layers": (drop("GraphicLayerSequence"), "GraphicLayerSequence"),
        "points too few": (lambda ds: GRAPHIC(ds).GraphicData.pop(), "NumberOfGraphicPoints"),
        "beside the image": (at(GRAPHIC, lambda item: item.GraphicData.__setitem__(0, 4000.0)), "GraphicData"),
        "image that is not listed": (
            at(
                inside("GraphicAnnotationSequence", "ReferencedImageSequence"), put("ReferencedSOPInstanceUID", FOREIGN)
            ),
            "ReferencedSOPInstanceUID",
        ),
        "no displayed area": (drop("DisplayedAreaSelectionSequence"), "DisplayedAreaSelectionSequence"),
        "area beyond the image": (
            at(inside("DisplayedAreaSelectionSequence"), put("DisplayedAreaBottomRightHandCorner", [999, 999])),
            "DisplayedAreaSelectionSequence",
        ),
        "area without a scale": (
            at(inside("DisplayedAreaSelectionSequence"), drop("PresentationPixelSpacing")),
            "PresentationPixelSpacing",
        ),
        "no caution": (lambda ds: ds.GraphicAnnotationSequence.pop(), "UnformattedTextValue"),
    },
    "key objects": {
        "image that does not exist": (
            lambda ds: put("ReferencedSOPInstanceUID", FOREIGN)(
                next(i for i in walk(ds) if i.ValueType == "IMAGE").ReferencedSOPSequence[0]
            ),
            "ReferencedSOPInstanceUID",
        ),
        "evidence that is not selected": (add_evidence, "CurrentRequestedProcedureEvidenceSequence"),
        "no title": (drop("ConceptNameCodeSequence"), "ConceptNameCodeSequence"),
        "measurement in a selection": (at(concept("113012"), put("ValueType", "NUM")), "MeasuredValueSequence"),
        "another template": (at(inside("ContentTemplateSequence"), put("TemplateIdentifier", "1500")), "Template"),
        "no caution": (at(concept("113012"), put("TextValue", "Look here")), "caution"),
    },
    "capture": {
        "burned in, unsaid": (put("BurnedInAnnotation", "NO"), "BurnedInAnnotation"),
        "pixels cut": (lambda ds: put("PixelData", ds.PixelData[:-2])(ds), "PixelData"),
        "no conversion type": (drop("ConversionType"), "ConversionType"),
        "colors without an order": (drop("PlanarConfiguration"), "PlanarConfiguration"),
        "source that does not exist": (
            at(inside("SourceImageSequence"), put("ReferencedSOPInstanceUID", FOREIGN)),
            "ReferencedSOPInstanceUID",
        ),
        "no caution": (lambda ds: (drop("ImageComments")(ds), drop("DerivationDescription")(ds)), "ImageComments"),
    },
    "map": {
        "floats cut": (lambda ds: put("FloatPixelData", ds.FloatPixelData[:-4])(ds), "FloatPixelData"),
        "no real world values": (
            at(inside("SharedFunctionalGroupsSequence", "RealWorldValueMappingSequence"), drop("LUTLabel")),
            "LUTLabel",
        ),
        "frames swapped": (swap_positions, "ImagePositionPatient"),
        "content qualification that is none": (put("ContentQualification", "GOOD"), "ContentQualification"),
        "no frame of reference": (drop("FrameOfReferenceUID"), "FrameOfReferenceUID"),
        "slope that is infinite": (
            at(
                inside("SharedFunctionalGroupsSequence", "RealWorldValueMappingSequence"),
                put("RealWorldValueSlope", float("inf")),
            ),
            "RealWorldValueSlope",
        ),
    },
    "structures": {
        "another frame of reference": (
            at(inside("StructureSetROISequence"), put("ReferencedFrameOfReferenceUID", FOREIGN)),
            "ReferencedFrameOfReferenceUID",
        ),
        "region twice": (at(inside("StructureSetROISequence"), put("ROINumber", 2)), "ROINumber"),
        "contours of no region": (
            at(inside("ROIContourSequence"), put("ReferencedROINumber", 9)),
            "ReferencedROINumber",
        ),
        "region that nobody observed": (lambda ds: ds.RTROIObservationsSequence.pop(), "ReferencedROINumber"),
        "points too few": (at(CONTOUR, put("NumberOfContourPoints", 3)), "NumberOfContourPoints"),
        "beside its plane": (move_contour, "ContourData"),
        "on an image that does not exist": (
            at(
                inside("ROIContourSequence", "ContourSequence", "ContourImageSequence"),
                put("ReferencedSOPInstanceUID", FOREIGN),
            ),
            "ContourImageSequence",
        ),
        "contour of no kind": (at(CONTOUR, drop("ContourGeometricType")), "ContourGeometricType"),
        "no label": (put("StructureSetLabel", ""), "StructureSetLabel"),
        "no caution": (drop("StructureSetDescription"), "StructureSetDescription"),
    },
    "document": {
        "not a PDF": (put("EncapsulatedDocument", b"Hello!"), "EncapsulatedDocument"),
        "cut": (lambda ds: put("EncapsulatedDocument", ds.EncapsulatedDocument[:-200])(ds), "EncapsulatedDocument"),
        "of another kind": (put("MIMETypeOfEncapsulatedDocument", "text/plain"), "MIMETypeOfEncapsulatedDocument"),
        "no burned in annotation": (drop("BurnedInAnnotation"), "BurnedInAnnotation"),
        "no title": (drop("DocumentTitle"), "DocumentTitle"),
        "source that does not exist": (
            at(inside("SourceInstanceSequence"), put("ReferencedSOPInstanceUID", FOREIGN)),
            "ReferencedSOPInstanceUID",
        ),
    },
    "registration": {
        "another frame of reference": (put("FrameOfReferenceUID", FOREIGN), "FrameOfReferenceUID"),
        "of the source's frame alone": (lambda ds: ds.RegistrationSequence.pop(), "FrameOfReferenceUID"),
        "frames exchanged": (exchange_frames, "FrameOfReferenceUID"),
        "scaled": (at(MOTION, spoil_matrix(0, 1.01)), "FrameOfReferenceTransformationMatrix"),
        "perspective": (at(MOTION, spoil_matrix(12, 0.5)), "FrameOfReferenceTransformationMatrix"),
        "mirrored": (at(MOTION, spoil_matrix(10, -1.0)), "FrameOfReferenceTransformationMatrix"),
        "moves the source": (at(STILL, spoil_matrix(3, 1.0)), "FrameOfReferenceTransformationMatrix"),
        "fifteen numbers": (at(MOTION, lambda item: item[MATRIX].value.pop()), "FrameOfReferenceTransformationMatrix"),
        "no matrix": (
            at(lambda ds: ds.RegistrationSequence[1].MatrixRegistrationSequence[0], drop("MatrixSequence")),
            "MatrixSequence",
        ),
        "no images": (at(inside("RegistrationSequence"), drop("ReferencedImageSequence")), "ReferencedImageSequence"),
        "image that does not exist": (
            at(inside("RegistrationSequence", "ReferencedImageSequence"), put("ReferencedSOPInstanceUID", FOREIGN)),
            "ReferencedSOPInstanceUID",
        ),
        "image not listed": (
            lambda ds: ds.ReferencedSeriesSequence[0].ReferencedInstanceSequence.pop(),
            "ReferencedInstanceSequence",
        ),
        "prior listed under another study": (
            at(inside("StudiesContainingOtherReferencedInstancesSequence"), put("StudyInstanceUID", FOREIGN)),
            "ReferencedSeriesSequence",
        ),
        "prior listed under the source's study": (
            at(inside("StudiesContainingOtherReferencedInstancesSequence"), put("StudyInstanceUID", "1.2.3.1")),
            "StudiesContainingOtherReferencedInstancesSequence",
        ),
        "no caution": (put("ContentDescription", "registration"), "ContentDescription"),
        "no label": (drop("ContentLabel"), "ContentLabel"),
    },
    "deformable": {
        "source frame of another": (
            at(inside("DeformableRegistrationSequence"), put("SourceFrameOfReferenceUID", FOREIGN)),
            "SourceFrameOfReferenceUID",
        ),
        "a vector too few": (at(GRID, lambda g: put("VectorGridData", g.VectorGridData[:-12])(g)), "VectorGridData"),
        "infinite vector": (
            at(GRID, lambda g: put("VectorGridData", b"\0\0\x80\x7f" + g.VectorGridData[4:])(g)),
            "VectorGridData",
        ),
        "no resolution": (at(GRID, drop("GridResolution")), "GridResolution"),
        "flat grid": (at(GRID, put("GridResolution", [4.0, 0.0, 4.0])), "GridDimensions"),
        "axes not perpendicular": (
            at(GRID, put("ImageOrientationPatient", [1, 0, 0, 0.6, 0.8, 0])),
            "ImageOrientationPatient",
        ),
        "bends the source": (exchange_grid, "DeformableRegistrationGridSequence"),
        "matrix not rigid": (
            at(
                inside("DeformableRegistrationSequence", "PostDeformationMatrixRegistrationSequence"),
                spoil_matrix(5, 2.0),
            ),
            "FrameOfReferenceTransformationMatrix",
        ),
    },
}
"""Kind -> name -> (what is done to the object, what the error must name)."""

EVERY = [(kind, name) for kind, mutants in MUTANTS.items() for name in mutants]


@pytest.mark.parametrize("kind", MUTANTS)
def test_a_good_object_of_each_kind_passes_alone(kind):
    check(kind, read_object(kind))


def test_all_kinds_pass_together():
    objects = [read_object(kind) for kind in encode_all()]
    check_objects(objects, make_source().headers, prior_headers=make_prior().headers)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_a_defect_is_caught_and_named(kind, name):
    spoil, attribute = MUTANTS[kind][name]
    ds = read_object(kind)
    spoil(ds)
    with pytest.raises(EncodingError, match=attribute) as caught:
        check(kind, ds)
    assert str(caught.value).startswith(f"{ds.Modality} {ds.SOPInstanceUID}: ")
    assert "P-1" not in str(caught.value) and "P-2" not in str(caught.value) and "Test^Pat" not in str(caught.value)


def compare(kind, name, folder):
    """Whether dciodvfy finds an error in the mutant that it does not find in the good object; None where the mutant
    cannot be written."""
    path = folder / "object.dcm"
    write_dicom(read_object(kind), path)
    before = set(dciodvfy_errors(path))
    ds = read_object(kind)
    MUTANTS[kind][name][0](ds)
    try:
        write_dicom(ds, path)
    except Exception:
        return None
    return bool(set(dciodvfy_errors(path)) - before)


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["no content label", "a type that is none", "segment without a type"])
def test_dciodvfy_agrees_where_the_tables_alone_decide(name, tmp_path):
    assert compare("segmentation", name, tmp_path)


def print_table(folder):
    """A row a kind in Markdown: defects, and how many of them each finds."""
    print("| object | defects | this gate | dciodvfy | dciodvfy misses |\n|---|---|---|---|---|")
    for kind, mutants in MUTANTS.items():
        found = {name: compare(kind, name, folder) for name in mutants}
        missed = ", ".join(name for name, yes in found.items() if yes is False)
        print(f"| {kind} | {len(found)} | {len(found)} | {sum(map(bool, found.values()))} | {missed or '-'} |")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        print_table(Path(place))
