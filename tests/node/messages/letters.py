"""Letters made for a test: of real reports about a patient with an awkward name."""

from dataclasses import replace
from functools import cache

from node.dicom.report import encode_refusal, encode_report
from node.dicom.segmentation import encode_segmentation
from node.messages.account import read_account
from node.messages.envelope import Letter
from node.model.job import Priority
from node.model.order import Order
from node.sections import Template
from pipelines.terms import Code, Finding, Result
from tests.results import LUNG, NODULE, make_author, make_result, make_stack
from tests.series import make_series

NAME = "Müller|Lüden^Zoë^M.^Dr.^Jr.=山田^太郎=やまだ^たろう"
DENSITY = (Code("NOD-DENS", "99WETREAD", "Density type"), Code("RID50151", "RADLEX", "Solid pulmonary nodule"))
"""A question and its answer."""
PATIENT = {
    "PatientName": NAME,
    "PatientID": "P-1&7",
    "IssuerOfPatientID": "HOSP",
    "PatientBirthDate": "19600229",
    "PatientSex": "F",
    "AccessionNumber": "A-17",
    "StudyDate": "20240102",
    "StudyTime": "030405",
    "TimezoneOffsetFromUTC": "+0100",
    "ReferringPhysicianName": "House^Gregory",
    "SpecificCharacterSet": "ISO_IR 192",
}
ORDER = Order(
    accession_number="A-17",
    issuer="",
    placer_order_number="PL^1",
    filler_order_number="F1",
    requested_procedure_id="RP1",
    requested_procedure_description="CT of the chest",
    procedure_code=Code("CTCHEST", "L", "CT chest"),
    reason="Cough & fever",
    referring_physician="Doe^Jane",
    priority=Priority.ROUTINE,
    study_uid="",
    source="hl7",
    at=1000.0,
    patient_id="P-1&7",
)
TEMPLATE = Template(
    receiving_application="RIS",
    receiving_facility="HOSPITAL",
    critical=[{"finding": "27925004 SCT Nodule", "measurement": "118565006 SCT Volume", "min": 1.5}],
)


@cache
def make_report(count=2, absent=False, part="report", job_id="job-1", answers=(), **headers):
    """An SR with `count` nodules of 1, 2 ... mL, of which all have `answers`; absent: and the statement that something
    else is not there."""
    stack = make_stack(make_series(**PATIENT | headers))
    author, result = make_author(job_id), make_result(stack.shape, count)
    if answers:
        result = replace(result, findings=tuple(replace(one, qualifiers=answers) for one in result.findings))
    if absent:
        other = Finding("effusion", Code("60046008", "SCT", "Pleural effusion"), site=LUNG, absent=True)
        result = Result(result.segments, (*result.findings, other), notes=result.notes)
    segmentation = encode_segmentation(stack, result, author)
    return encode_report(stack, result, author, segmentation, part=part)


@cache
def make_refused(job_id="job-1"):
    """An SR that says that the algorithm did not run."""
    slices = make_series(**PATIENT)
    reason = Code("R111", "99WETREAD", "Slices are missing")
    return encode_refusal(slices, make_author(job_id), "MissingSlices", "a plane is missing", reason=reason)


def make_letter(report=None, **changes):
    """A letter of `report` to a receiver."""
    account = read_account(report if report is not None else make_report())
    letter = Letter(account, TEMPLATE, "WETREAD", "WR0123456789ABCDEF01", 1700000000.0, "lung-nodule", "chest CT")
    return replace(letter, **changes)


__all__ = ["LUNG", "NAME", "NODULE", "ORDER", "PATIENT", "TEMPLATE", "make_letter", "make_refused", "make_report"]
