"""The gate lets every good object through, names what is wrong between objects and their source, and is quick."""

import sys
from dataclasses import replace
from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom import Dataset

from node.dicom.codes import find_code
from node.dicom.labelmap import encode_labelmap
from node.dicom.output_gate import check_objects
from node.dicom.report import encode_refusal, encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Result
from tests.corpus import make_cases
from tests.results import (
    CORPUS,
    make_author,
    make_empty_result,
    make_finding,
    make_result,
    make_segment,
    make_stack,
)
from tests.series import make_series


def encode(stack, result=None):
    author, result = make_author(), result or make_result(stack.shape, 2)
    segmentation = encode_segmentation(stack, result, author)
    return segmentation, encode_report(stack, result, author, segmentation)


@pytest.mark.parametrize("name", CORPUS)
def test_good_objects_pass(name):
    stack = CORPUS[name]()
    check_objects(encode(stack), stack.headers)
    check_objects([encode_report(stack, make_empty_result(), make_author(), None)], stack.headers)
    check_objects([encode_refusal(stack.headers, make_author(), "TooFewSlices", "Too few")], stack.headers)


def test_the_whole_corpus_passes(tmp_path):
    author, labelmaps, count = make_author(), 0, 0
    for case in make_cases(tmp_path):
        count += 1
        if case.result is None:
            check_objects([encode_refusal(case.stack.headers, author, "MissingSlices", "A gap")], case.stack.headers)
            continue
        if all(segment.is_empty for segment in case.result.segments):
            check_objects([encode_report(case.stack, case.result, author, None)], case.stack.headers)
            continue
        objects = list(encode(case.stack, case.result))
        try:
            objects.append(encode_labelmap(case.stack, case.result, author))
            labelmaps += 1
        except EncodingError:
            pass  # segments overlap
        check_objects(objects, case.stack.headers)
    assert count > 30 and labelmaps > 2


def make_item(**attributes):
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item


MISTAKES = {
    "control characters": {"InstitutionName": "A\x00B", "StationName": "A\\B", "PatientID": "A\x01B"},
    "values that are none": {"QualityControlSubject": "MAYBE", "PatientSex": "X", "TypeOfPatientID": "FOO"},
    "days that are none": {"PatientBirthDate": "19700231", "StudyDate": "20231399", "StudyTime": "256199"},
    "names too long": {"PatientName": "x" * 200, "PatientID": "y" * 100, "AccessionNumber": "z" * 40},
    "uids that are none": {
        "StudyInstanceUID": "1.02.3",
        "SeriesInstanceUID": "1.2.03",
        "FrameOfReferenceUID": "1.2.00",
    },
    "two values for one": {"AccessionNumber": ["A", "B"], "StudyDescription": ["a", "b"]},
    "requests cut short": {
        "RequestAttributesSequence": [make_item(RequestedProcedureID="R", ScheduledProcedureStepID=""), Dataset()],
        "ProcedureCodeSequence": [make_item(CodeMeaning="a meaning alone")],
    },
    "a body part in small letters": {"BodyPartExamined": "chest/abd", "Laterality": "B"},
    "lossy, but how": {"LossyImageCompression": "01", "LossyImageCompressionRatio": "10"},
    "no maker": {"Manufacturer": "", "DeviceSerialNumber": "x\x00", "SliceThickness": ""},
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_of_the_scanner_stops_no_result(mistake):
    stack = make_stack(make_series(**MISTAKES[mistake]))
    check_objects(encode(stack), stack.headers)


def child(item, value):
    return next(c for c in item.ContentSequence if find_code(c.ConceptNameCodeSequence[0]).value == value)


def swap_tracking(segmentation, _):
    one, other = segmentation.SegmentSequence
    one.TrackingUID, other.TrackingUID = other.TrackingUID, one.TrackingUID


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
    "a uid that is none": (assign(SEG, "SOPInstanceUID", "1.02.3"), "SOPInstanceUID"),
    "no series uid": (lambda seg, sr: delattr(sr, "SeriesInstanceUID"), "SeriesInstanceUID"),
    "a class that we do not send": (assign(SR, "SOPClassUID", "1.2.840.10008.5.1.4.1.1.2"), "SOPClassUID"),
    "the source's series": (assign(SR, "SeriesInstanceUID", "1.2.3.2"), "SeriesInstanceUID"),
    "one series for both": (
        lambda seg, sr: setattr(sr, "SeriesInstanceUID", seg.SeriesInstanceUID),
        "SeriesInstanceUID",
    ),
    "one uid for both": (lambda seg, sr: setattr(sr, "SOPInstanceUID", seg.SOPInstanceUID), "SOPInstanceUID"),
    "one tracking uid twice": (
        lambda seg, sr: setattr(seg.SegmentSequence[1], "TrackingUID", seg.SegmentSequence[0].TrackingUID),
        "TrackingUID",
    ),
    "tracking uids swapped": (swap_tracking, "TrackingUID"),
    "another algorithm for each": (assign(SR, "SoftwareVersions", "9.9"), "SoftwareVersions|Algorithm Version"),
    "another maker for each": (assign(SR, "Manufacturer", "Other"), "Manufacturer|observer"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """(stack, files) of a segmentation and its report."""
    stack, folder = make_stack(make_series()), tmp_path_factory.mktemp("gate")
    for ds in encode(stack):
        write_dicom(ds, folder / f"{ds.Modality}.dcm")
    return stack, [(folder / f"{modality}.dcm").read_bytes() for modality in ("SEG", "SR")]


@pytest.mark.filterwarnings("ignore:.*VR UI")
@pytest.mark.parametrize("defect", DEFECTS)
def test_objects_that_do_not_agree_are_caught(defect, written):
    stack, files = written
    objects = [pydicom.dcmread(BytesIO(file)) for file in files]
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


def test_no_source_is_no_proof():
    stack = make_stack(make_series())
    with pytest.raises(EncodingError, match="no source"):
        check_objects(encode(stack), [])


def test_a_refusal_that_holds_a_finding_is_caught():
    stack = make_stack(make_series())
    refusal = encode_refusal(stack.headers, make_author(), "TooFewSlices", "Too few")
    nothing = encode_report(stack, make_empty_result(), make_author(), None)
    refusal.ContentSequence.append(child(nothing, "126010"))
    with pytest.raises(EncodingError, match="outcome"):
        check_objects([refusal], stack.headers)


def test_frames_of_a_stack_read_the_wrong_way_round_are_caught():
    slices = make_series()
    stack = make_stack(slices)
    objects = encode(stack)
    for one, other in zip(slices, [list(ds.ImagePositionPatient) for ds in slices][::-1], strict=True):
        one.ImagePositionPatient = other
    with pytest.raises(EncodingError, match="ImagePositionPatient"):
        check_objects(objects, stack.headers)


def test_twenty_thousand_frames_and_a_hundred_groups_cost_a_few_calls_each():
    """0.4 s on a quiet machine; calls are counted, since time depends on who else is at work."""
    stack = make_stack(make_series((171, 8, 8)))
    few, many = (make_nodules(stack, count) for count in (39, 117))
    assert many[SEG].NumberOfFrames == 20007
    calls = [count_calls(lambda objects=objects: check_objects(objects, stack.headers)) for objects in (few, many)]
    assert calls[1] < 3.3 * calls[0], "three times as many frames and groups cost more than three times as much"
    assert calls[1] < 300 * 20007  # 158 when this was written


def make_nodules(stack, count):
    """Segmentation and report of `count` segments that fill every plane, each with its finding."""
    segment, finding = make_segment(np.ones(stack.shape, bool)), make_finding()
    keys = [f"nodule-{n}" for n in range(count)]
    segments = tuple(replace(segment, key=key) for key in keys)
    return encode(stack, Result(segments, tuple(replace(finding, key=key, segment_key=key) for key in keys)))


def count_calls(run):
    """Functions called by `run`, Python's and C's."""
    count = 0

    def note(_frame, event, _argument):
        nonlocal count
        count += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        run()
    finally:
        sys.setprofile(before)
    return count
