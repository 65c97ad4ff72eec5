"""Reports say every number, name their maker alike everywhere, and tell "nothing found" from "did not run"."""

import copy
import dataclasses
import math

import highdicom as hd
import numpy as np
import pydicom
import pytest

from node.dicom.output_gate import check_objects
from node.dicom.read_report import find_refusal_reason, read_findings, read_notes, read_outcome
from node.dicom.report import encode_refusal, encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Code, Finding, Measurement, Note, Result, Severity
from tests.judges import dciodvfy_errors, dsrdump, tid1500
from tests.results import (
    CORPUS,
    HOUNSFIELD,
    LUNG,
    MILLILITER,
    NODULE,
    VOLUME,
    ellipsoid,
    make_author,
    make_empty_result,
    make_finding,
    make_result,
    make_segment,
    make_stack,
)
from tests.series import make_series

SENTENCE = "A plane is missing between 12.5 mm and 17.5 mm"


def refuse(headers):
    return encode_refusal(headers, make_author(), "MissingSlices", SENTENCE)


def encode(stack, result, **more):
    """(segmentation or None, report)"""
    author = make_author()
    segmentation = encode_segmentation(stack, result, author) if result.segments else None
    return segmentation, encode_report(stack, result, author, segmentation, **more)


def save(ds, folder):
    write_dicom(ds, folder / "sr.dcm")
    return folder / "sr.dcm"


def texts(item):
    """Every text in the content tree."""
    found = [str(item.TextValue)] if "TextValue" in item else []
    return found + [text for child in item.get("ContentSequence", []) for text in texts(child)]


@pytest.mark.judge
@pytest.mark.parametrize("name", ["plain", "MR", "enhanced", "enhanced, some frames, reversed"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_judges_read_every_measurement_and_find_no_error(name, count, tmp_path):
    stack = CORPUS[name]()
    result = make_result(stack.shape, count) if count else make_empty_result()
    segmentation, report = encode(stack, result)
    path = save(report, tmp_path)
    assert dciodvfy_errors(path) == []
    assert 'Procedure reported")=(25045-6,LN' in dsrdump(path)
    read = tid1500(path, tmp_path)
    numbers = [group for group in read["Measurements"] if group["measurementItems"] or not count]
    assert [group["measurementItems"] for group in numbers] == (
        [[_as_dcmqi(m) for m in finding.measurements] for finding in result.findings]
    )
    if segmentation is not None:
        assert {group["segmentationSOPInstanceUID"] for group in numbers} == {segmentation.SOPInstanceUID}
        assert [group["ReferencedSegment"] for group in numbers] == list(range(1, count + 1))
        regions = [group for group in read["Measurements"] if group not in numbers]
        assert [g["TrackingUniqueIdentifier"] for g in regions] == [g["TrackingUniqueIdentifier"] for g in numbers]
    assert read["VerificationFlag"] == "UNVERIFIED"


def _as_dcmqi(measurement):
    code = lambda c: {"CodeValue": c.value, "CodingSchemeDesignator": c.scheme, "CodeMeaning": c.meaning}  # noqa: E731
    entry = {
        "quantity": code(measurement.concept),
        "units": code(measurement.unit),
        "value": str(float(measurement.value)),
    }
    return entry | ({"derivationModifier": code(measurement.derivation)} if measurement.derivation else {})


@pytest.mark.judge
def test_judges_accept_a_refusal_and_read_no_finding_in_it(tmp_path):
    headers = make_series()
    path = save(refuse(headers), tmp_path)
    assert dciodvfy_errors(path) == []
    assert SENTENCE in dsrdump(path)
    read = tid1500(path, tmp_path)
    assert read["Measurements"] == []
    assert read["CompletionFlag"] == "PARTIAL"
    assert sorted(read["imageLibrary"]) == sorted(ds.SOPInstanceUID for ds in headers)


def test_found_nothing_found_and_did_not_run_are_three_different_documents():
    stack = CORPUS["plain"]()
    found, nothing = encode(stack, make_result(stack.shape))[1], encode(stack, make_empty_result())[1]
    refusal = refuse(stack.headers)
    assert [read_outcome(ds) for ds in (found, nothing, refusal)] == [
        "All algorithms succeeded; with findings",
        "All algorithms succeeded; without findings",
        "No algorithms succeeded; without findings",
    ]
    assert [[f["absent"] for f in read_findings(ds)] for ds in (found, nothing, refusal)] == [[False], [True], []]
    assert [ds.CompletionFlag for ds in (found, nothing, refusal)] == ["COMPLETE", "COMPLETE", "PARTIAL"]
    assert "MissingSlices" in refusal.CompletionFlagDescription
    assert refusal.SeriesDescription == "AI DID NOT RUN: Lung nodules"
    assert len({ds.SOPInstanceUID for ds in (found, nothing, refusal)}) == 2, "a rerun replaces what was found"
    assert refusal.SOPInstanceUID != nothing.SOPInstanceUID


@pytest.mark.judge
def test_a_refusal_may_say_its_reason_as_a_code(tmp_path):
    headers, reason = make_series((3, 8, 8)), Code("MISSINGSLICES", "99WETREAD", "A plane is missing")
    refusal = encode_refusal(headers, make_author(), "MissingSlices", SENTENCE, reason=reason)
    path = save(refusal, tmp_path)
    assert find_refusal_reason(pydicom.dcmread(path)) == reason
    assert read_outcome(refusal) == "No algorithms succeeded; without findings"
    assert find_refusal_reason(refuse(headers)) is None
    assert dciodvfy_errors(path) == []
    assert "MISSINGSLICES,99WETREAD" in dsrdump(path)
    check_objects([refusal], headers)


def test_a_refusal_without_an_image_is_refused_itself():
    with pytest.raises(EncodingError):
        refuse([])


def test_a_refusal_may_speak_of_several_series():
    first, second = make_series((3, 8, 8)), make_series((2, 8, 8), SeriesInstanceUID="1.2.3.8", Modality="OT")
    ds = refuse([*first, *second])
    (study,) = ds.CurrentRequestedProcedureEvidenceSequence
    assert [len(series.ReferencedSOPSequence) for series in study.ReferencedSeriesSequence] == [3, 2]
    check_objects([ds], [*first, *second])


def test_the_maker_is_the_same_in_equipment_observer_and_algorithm():
    author = make_author()
    stack = CORPUS["plain"]()
    segmentation, report = encode(stack, make_result(stack.shape))
    tree = hd.sr.MeasurementReport.from_sequence([report])
    (observer,) = (context.observer_identifying_attributes for context in tree.get_observer_contexts())
    for ds in (segmentation, report):
        algorithm = ds.ContributingEquipmentSequence[-1]
        assert algorithm.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
        assert algorithm.DeviceUID == observer.uid == author.device_uid
        assert algorithm.Manufacturer == observer.manufacturer_name == author.manifest.manufacturer
        assert algorithm.ManufacturerModelName == observer.model_name == author.manifest.name
        assert algorithm.SoftwareVersions == author.manifest.version
    (group,) = tree.get_volumetric_roi_measurement_groups()
    said = texts(group[0])
    assert author.manifest.name in said and author.manifest.version in said


def test_tracking_uids_agree_with_the_segmentation():
    stack = CORPUS["plain"]()
    segmentation, report = encode(stack, make_result(stack.shape, 3))
    assert [f["tracking_uid"] for f in read_findings(report)] == [s.TrackingUID for s in segmentation.SegmentSequence]
    assert [f["segment"]["number"] for f in read_findings(report)] == [1, 2, 3]


def test_the_reader_is_told_that_nobody_reviewed_it_what_it_is_for_and_what_it_lacks():
    stack = CORPUS["plain"]()
    result = dataclasses.replace(make_result(stack.shape), notes=(Note("Thick slices", Severity.INFO), Note("Cut")))
    _, report = encode(stack, result, notes=["2 planes of the series were not read"])
    assert read_notes(report) == [
        "AI result of lung-nodule 1.2.0, not reviewed by a person. "
        "Intended use: Marks lung nodules for a reader. Not for: primary diagnosis.",
        "Note: Thick slices",
        "Warning: Cut",
        "2 planes of the series were not read",
    ]
    assert (report.VerificationFlag, report.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")


def test_a_source_without_frame_of_reference_still_gets_its_report():
    stack = make_stack(make_series(FrameOfReferenceUID=None))
    segmentation, report = encode(stack, make_empty_result())
    assert segmentation is None
    check_objects([report], stack.headers)


def test_a_finding_whose_segment_is_empty_is_reported_without_it():
    stack = CORPUS["plain"]()
    empty, full = make_segment(np.zeros(stack.shape, bool), "empty"), make_segment(ellipsoid(stack.shape), "full")
    result = Result((empty, full), (make_finding("empty", 0.0), make_finding("full")))
    segmentation, report = encode(stack, result)
    first, second = read_findings(report)
    assert first["segment"] is None and first["measurements"][0]["value"] == 0.0
    assert second["segment"]["number"] == 1
    check_objects([segmentation, report], stack.headers)


def test_qualifiers_method_and_findings_without_a_place_are_written():
    stack = CORPUS["plain"]()
    shape, round_ = Code("C0332479", "UMLS", "Shape"), Code("42700002", "SCT", "Spherical")
    recist = Code("112022", "DCM", "RECIST 1.1")
    finding = Finding(
        "n", NODULE, measurements=(Measurement(VOLUME, 3, MILLILITER, method=recist),), qualifiers=((shape, round_),)
    )
    _, report = encode(stack, Result((), (finding,)))
    (group,) = hd.sr.MeasurementReport.from_sequence([report]).get_image_measurement_groups()
    (evaluation,) = group.get_qualitative_evaluations(hd.sr.CodedConcept("C0332479", "UMLS", "Shape"))
    assert evaluation.value.value == "42700002"
    assert group.get_measurements()[0].method.value == "112022"
    assert group.source_images[0].referenced_sop_instance_uid == stack.headers[2].SOPInstanceUID
    assert group.finding_sites == []


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_number_that_is_none_is_never_written(value):
    stack = CORPUS["plain"]()
    finding = Finding("n", NODULE, site=LUNG, measurements=(Measurement(VOLUME, value, HOUNSFIELD),))
    with pytest.raises(EncodingError, match="Volume"):
        encode(stack, Result((), (finding,)))


def test_numpy_numbers_are_numbers():
    stack = CORPUS["plain"]()
    finding = Finding("n", NODULE, measurements=(Measurement(VOLUME, np.float32(1) / 3, MILLILITER),))
    (read,) = read_findings(encode(stack, Result((), (finding,)))[1])
    assert read["measurements"][0]["value"] == pytest.approx(1 / 3)


def test_the_library_lists_the_frames_that_were_read_when_not_all_were():
    stack = CORPUS["enhanced, some frames, reversed"]()
    _, report = encode(stack, make_empty_result())
    library = next(i for i in report.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "111028")
    (image,) = [i for i in library.ContentSequence[0].ContentSequence if i.ValueType == "IMAGE"]
    assert list(image.ReferencedSOPSequence[0].ReferencedFrameNumber) == [2, 3, 4, 5]


def test_the_same_result_makes_the_same_bytes_and_leaves_its_source_alone(tmp_path):
    stack = make_stack(make_series())
    before = copy.deepcopy(stack.headers)
    for name in ("one", "two"):
        write_dicom(encode(stack, make_result(stack.shape, 2))[1], tmp_path / name)
        write_dicom(refuse(stack.headers), tmp_path / f"{name} refused")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert (tmp_path / "one refused").read_bytes() == (tmp_path / "two refused").read_bytes()
    assert stack.headers == before


@pytest.mark.judge
@pytest.mark.parametrize("series", ["ct_chest_LungDx_A0001/series3_soft_kernel", "mr_brain_VS-SEG-001"])
def test_reports_on_real_series_pass_the_judges(series, real_data, tmp_path):
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in (real_data / series).rglob("*.dcm")]
    stack = make_stack(sorted(headers, key=lambda ds: float(ds.ImagePositionPatient[2])))
    result = make_result(stack.shape, 2)
    segmentation, report = encode(stack, result)
    check_objects([segmentation, report], headers)
    path = save(report, tmp_path)
    assert dciodvfy_errors(path) == []
    groups = tid1500(path, tmp_path)["Measurements"]
    assert len(groups) == 4 and len({group["TrackingUniqueIdentifier"] for group in groups}) == 2
    assert dciodvfy_errors(save(refuse(headers), tmp_path)) == []


def test_the_side_is_said_even_where_the_finding_names_no_site():
    stack = CORPUS["plain"]()
    right = dataclasses.replace(make_finding(), concept=LUNG, site=None, laterality=Code("24028007", "SCT", "Right"))
    result = Result((make_segment(ellipsoid(stack.shape)),), (right,))
    (found,) = read_findings(encode(stack, result)[1])
    assert (found["site"], found["laterality"].meaning) == (LUNG, "Right")
