"""The order of a study reaches its results as a request, beside what the images say themselves."""

from dataclasses import replace

import pytest
from pydicom import Dataset

from node.dicom.context import copy_requests
from node.dicom.labelmap import encode_labelmap
from node.dicom.output_gate import check_objects
from node.dicom.report import encode_refusal, encode_report
from node.dicom.request import add_request, to_request
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from node.model.job import Priority
from node.model.order import Order
from pipelines.terms import Code
from tests.judges import dciodvfy_errors, dsrdump
from tests.results import make_author, make_result, make_stack
from tests.series import make_series

ORDER = Order(
    accession_number="A-1",
    issuer="RIS",
    placer_order_number="PL1",
    filler_order_number="FI1",
    requested_procedure_id="RP1",
    requested_procedure_description="CT Thorax für Müller",
    procedure_code=Code("24627-2", "LN", "CT Chest"),
    reason="Cough",
    referring_physician="Doe^Jane",
    priority=Priority.STAT,
    study_uid="1.2.3.1",
    source="mwl",
    at=1000.0,
    patient_id="P-1",
)


def item(**attributes):
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.mark.judge
def test_segmentations_and_reports_say_what_they_answer_and_pass_every_judge(tmp_path):
    stack, author = make_stack(make_series((3, 8, 8))), replace(make_author(), order=ORDER)
    result = make_result(stack.shape)
    segmentation = encode_segmentation(stack, result, author)
    report = encode_report(stack, result, author, segmentation)
    refusal = encode_refusal(stack.headers, author, "TooFewSlices", "three are not enough")
    labelmap = encode_labelmap(stack, result, author)
    check_objects([segmentation, report], stack.headers)
    check_objects([labelmap], stack.headers)
    check_objects([refusal], stack.headers)
    for name, ds in {"seg": segmentation, "sr": report, "refusal": refusal}.items():
        write_dicom(ds, tmp_path / f"{name}.dcm")
        assert dciodvfy_errors(tmp_path / f"{name}.dcm") == []
    for name in ("sr", "refusal"):
        dsrdump(tmp_path / f"{name}.dcm")
    for ds in (segmentation, labelmap):
        (request,) = ds.RequestAttributesSequence
        assert "PlacerOrderNumberImagingServiceRequest" not in request
        check(request)
    for ds in (report, refusal):
        (request,) = ds.ReferencedRequestSequence
        assert request.PlacerOrderNumberImagingServiceRequest == "PL1"
        assert request.FillerOrderNumberImagingServiceRequest == "FI1"
        check(request)
        assert str(ds.ReferringPhysicianName) == ""  # of the study: as the images have it


def check(request):
    assert (request.RequestedProcedureID, request.AccessionNumber) == ("RP1", "A-1")
    assert request.RequestedProcedureDescription == "CT Thorax für Müller"
    assert request.ReasonForTheRequestedProcedure == "Cough"
    assert request.StudyInstanceUID == "1.2.3.1"
    assert request.RequestedProcedureCodeSequence[0].CodeValue == "24627-2"
    assert request.IssuerOfAccessionNumberSequence[0].LocalNamespaceEntityID == "RIS"


def requests(*items, order=ORDER):
    return copy_requests(make_series((3, 4, 4), RequestAttributesSequence=list(items))[0], order)


def test_what_the_images_say_of_the_same_procedure_stays_and_the_order_adds_to_it():
    (one,) = requests(item(RequestedProcedureID="RP1", RequestedProcedureDescription="Thorax"))
    assert (one.RequestedProcedureDescription, one.ReasonForTheRequestedProcedure) == ("Thorax", "Cough")
    (one,) = requests(item(ScheduledProcedureStepID="SPS1"))
    assert (one.ScheduledProcedureStepID, one.RequestedProcedureID) == ("SPS1", "RP1")


def test_a_procedure_that_the_images_name_beside_it_stays_beside_it():
    other, told = requests(item(RequestedProcedureID="RP2"))
    assert (other.RequestedProcedureID, told.RequestedProcedureID) == ("RP2", "RP1")
    assert "ReasonForTheRequestedProcedure" not in other
    assert len(requests(item(RequestedProcedureID="RP1", AccessionNumber="A-2"))) == 2


def test_without_an_order_the_images_alone_speak():
    (one,) = requests(item(RequestedProcedureID="RP2"), order=None)
    assert one.RequestedProcedureID == "RP2"


def test_text_that_is_too_long_is_cut_and_a_number_that_is_is_left_out():
    long = replace(ORDER, requested_procedure_id="R" * 17, reason="a\\b\n" * 40, placer_order_number="p" * 65)
    request = to_request(long, "1.2.3.1")
    assert "RequestedProcedureID" not in request
    assert "PlacerOrderNumberImagingServiceRequest" not in request
    assert len(request.ReasonForTheRequestedProcedure) <= 64
    assert set(request.ReasonForTheRequestedProcedure) == {"a", "b", " "}


def test_a_header_says_what_the_order_says_but_stays_of_its_patient_and_study():
    header = make_series((3, 4, 4), ReferringPhysicianName="Roe^Rita", RequestedProcedureDescription="Thorax")[0]
    add_request(header, replace(ORDER, accession_number="A-9", study_uid="1.2.9"))
    assert (header.AccessionNumber, header.StudyInstanceUID) == ("A-1", "1.2.3.1")
    assert (header.RequestedProcedurePriority, header.RequestedProcedureDescription) == ("STAT", "CT Thorax für Müller")
    assert str(header.ReferringPhysicianName) == "Roe^Rita"
