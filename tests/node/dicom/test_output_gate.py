"""The gate lets good objects through and names what is wrong with the others."""

import pydicom
import pytest

from node.dicom import codes
from node.dicom.codes import to_concept
from node.dicom.output_gate import check_objects
from node.dicom.report import encode_refusal, encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from node.errors import EncodingError
from tests.results import CORPUS, make_author, make_empty_result, make_result, make_stack
from tests.series import make_series


def encode(stack):
    author, result = make_author(), make_result(stack.shape, 2)
    segmentation = encode_segmentation(stack, result, author)
    return segmentation, encode_report(stack, result, author, segmentation)


@pytest.mark.parametrize("name", CORPUS)
def test_good_objects_pass(name):
    stack = CORPUS[name]()
    check_objects(encode(stack), stack.headers)
    check_objects([encode_report(stack, make_empty_result(), make_author(), None)], stack.headers)
    check_objects([encode_refusal(stack.headers, make_author(), "TooFewSlices", "Too few")], stack.headers)


def child(item, value):
    return next(c for c in item.ContentSequence if c.ConceptNameCodeSequence[0].CodeValue == value)


def group(report):
    return child(child(report, "126010"), "125007")


def referenced_segment(report):
    return child(group(report), "121191").ReferencedSOPSequence[0]


def frame(segmentation, n=0):
    return segmentation.PerFrameFunctionalGroupsSequence[n]


def source(segmentation, n=0):
    return frame(segmentation, n).DerivationImageSequence[0].SourceImageSequence[0]


def swap_sources(segmentation, _):
    one, other = source(segmentation, 0), source(segmentation, 1)
    one.ReferencedSOPInstanceUID, other.ReferencedSOPInstanceUID = (
        other.ReferencedSOPInstanceUID, one.ReferencedSOPInstanceUID,
    )  # fmt: skip


def flip_orientation(segmentation, _):
    shared = segmentation.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    shared.ImageOrientationPatient = [-1, 0, 0, 0, 1, 0]


def swap_tracking(segmentation, _):
    one, other = segmentation.SegmentSequence
    one.TrackingUID, other.TrackingUID = other.TrackingUID, one.TrackingUID


def contradict(_, report):
    child(child(report, "C0034375"), "111017").ConceptCodeSequence = [to_concept(codes.WITHOUT_FINDINGS)]


def assign(index, keyword, value):
    return lambda *objects: setattr(objects[index], keyword, value)


SEG, SR = 0, 1
DEFECTS = {
    "another patient": (assign(SEG, "PatientID", "P-2"), "PatientID"),
    "another name": (assign(SR, "PatientName", "Other^Name"), "PatientName"),
    "no birth date": (assign(SEG, "PatientBirthDate", ""), "PatientBirthDate"),
    "another sex": (assign(SR, "PatientSex", "F"), "PatientSex"),
    "another study": (assign(SR, "StudyInstanceUID", "1.2.3.77"), "StudyInstanceUID"),
    "another accession number": (assign(SEG, "AccessionNumber", "A-2"), "AccessionNumber"),
    "another frame of reference": (assign(SEG, "FrameOfReferenceUID", "1.2.3.4"), "FrameOfReferenceUID"),
    "no frame of reference": (lambda seg, sr: delattr(seg, "FrameOfReferenceUID"), "FrameOfReferenceUID"),
    "a uid that is none": (assign(SEG, "SOPInstanceUID", "1.02.3"), "SOPInstanceUID"),
    "no series uid": (lambda seg, sr: delattr(sr, "SeriesInstanceUID"), "SeriesInstanceUID"),
    "the source's series": (assign(SR, "SeriesInstanceUID", "1.2.3.2"), "SeriesInstanceUID"),
    "one series for both": (
        lambda seg, sr: setattr(sr, "SeriesInstanceUID", seg.SeriesInstanceUID),
        "SeriesInstanceUID",
    ),
    "one uid for both": (lambda seg, sr: setattr(sr, "SOPInstanceUID", seg.SOPInstanceUID), "SOPInstanceUID"),
    "a frame too many": (assign(SEG, "NumberOfFrames", 99), "NumberOfFrames"),
    "no number of frames": (lambda seg, sr: delattr(seg, "NumberOfFrames"), "NumberOfFrames"),
    "other columns": (assign(SEG, "Columns", 17), "Columns"),
    "pixels cut": (lambda seg, sr: setattr(seg, "PixelData", seg.PixelData[:-2]), "PixelData"),
    "a group too few": (lambda seg, sr: seg.PerFrameFunctionalGroupsSequence.pop(), "NumberOfFrames"),
    "a segment that is none": (
        lambda seg, sr: setattr(frame(seg).SegmentIdentificationSequence[0], "ReferencedSegmentNumber", 9),
        "ReferencedSegmentNumber",
    ),
    "segments from two": (lambda seg, sr: setattr(seg.SegmentSequence[0], "SegmentNumber", 3), "SegmentNumber"),
    "an unknown source": (
        lambda seg, sr: setattr(source(seg), "ReferencedSOPInstanceUID", "1.2.3.4.5"),
        "SourceImageSequence",
    ),
    "a frame that the source has not": (
        lambda seg, sr: setattr(source(seg), "ReferencedFrameNumber", 2),
        "ReferencedFrameNumber",
    ),
    "another source class": (
        lambda seg, sr: setattr(source(seg), "ReferencedSOPClassUID", "1.2.840.10008.5.1.4.1.1.4"),
        "ReferencedSOPClassUID",
    ),
    "planes swapped": (swap_sources, "ImagePositionPatient"),
    "mirrored": (flip_orientation, "ImageOrientationPatient"),
    "one tracking uid twice": (
        lambda seg, sr: setattr(seg.SegmentSequence[1], "TrackingUID", seg.SegmentSequence[0].TrackingUID),
        "TrackingUID",
    ),
    "tracking uids swapped": (swap_tracking, "TrackingUID"),
    "a group without tracking uid": (
        lambda seg, sr: group(sr).ContentSequence.remove(child(group(sr), "112040")),
        "TrackingUID",
    ),
    "a segment number that is none": (
        lambda seg, sr: setattr(referenced_segment(sr), "ReferencedSegmentNumber", 7),
        "ReferencedSegmentNumber",
    ),
    "a segmentation that is none": (
        lambda seg, sr: setattr(referenced_segment(sr), "ReferencedSOPInstanceUID", "1.2.9"),
        "ReferencedSOPInstanceUID",
    ),
    "no evidence": (
        lambda seg, sr: setattr(sr, "CurrentRequestedProcedureEvidenceSequence", []),
        "ReferencedSOPInstanceUID",
    ),
    "evidence that is none": (
        lambda seg, sr: setattr(
            sr.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence[0],
            "ReferencedSOPInstanceUID",
            "1.2.9",
        ),
        "CurrentRequestedProcedureEvidenceSequence",
    ),
    "an outcome that contradicts": (contradict, "outcome"),
    "no outcome": (lambda seg, sr: sr.ContentSequence.remove(child(sr, "C0034375")), "outcome"),
}


def read_back(objects, folder):
    for ds in objects:
        write_dicom(ds, folder / f"{ds.Modality}.dcm")
    return [pydicom.dcmread(folder / f"{ds.Modality}.dcm") for ds in objects]


@pytest.mark.filterwarnings("ignore:.*VR UI")
@pytest.mark.parametrize("defect", DEFECTS)
def test_a_defect_is_caught_and_named(defect, tmp_path):
    stack = make_stack(make_series())
    objects = read_back(encode(stack), tmp_path)
    check_objects(objects, stack.headers)
    spoil, attribute = DEFECTS[defect]
    spoil(*objects)
    with pytest.raises(EncodingError, match=attribute) as caught:
        check_objects(objects, stack.headers)
    assert "P-1" not in str(caught.value) and "Test^Pat" not in str(caught.value)


def test_a_report_without_its_segmentation_is_caught():
    stack = make_stack(make_series())
    _, report = encode(stack)
    with pytest.raises(EncodingError, match="CurrentRequestedProcedureEvidenceSequence"):
        check_objects([report], stack.headers)


def test_sources_of_two_patients_are_caught():
    headers = make_series()
    objects = encode(make_stack(headers))
    headers[3].PatientID = "P-2"
    with pytest.raises(EncodingError, match="PatientID"):
        check_objects(objects, headers)


def test_a_refusal_that_holds_a_finding_is_caught():
    stack = make_stack(make_series())
    refusal = encode_refusal(stack.headers, make_author(), "TooFewSlices", "Too few")
    nothing = encode_report(stack, make_empty_result(), make_author(), None)
    refusal.ContentSequence.append(child(nothing, "126010"))
    with pytest.raises(EncodingError, match="outcome"):
        check_objects([refusal], stack.headers)
