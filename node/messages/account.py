"""What a report says, ready to be told in a message: read from the SR object alone, so that no message says anything
else."""

from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from node.dicom import codes
from node.dicom.codes import find_code
from node.dicom.header import find_value
from node.dicom.read_report import find_outcome, find_refusal_reason, read_findings, read_notes
from pipelines.terms import Code


@dataclass(frozen=True, slots=True)
class Patient:
    """Who it is about. name: as PN, groups separated by = (PS3.5 6.2). birth_date: YYYYMMDD or "". sex: M, F, O or "".
    Nothing of it is shown where the object is printed."""

    id: str
    issuer: str
    name: str
    birth_date: str
    sex: str

    def __repr__(self) -> str:
        return "Patient()"


@dataclass(frozen=True, slots=True)
class Measured:
    """A number. value: None where it could not be obtained."""

    concept: Code
    value: float | None
    unit: Code | None
    derivation: Code | None


@dataclass(frozen=True, slots=True)
class Found:
    """A finding. absent: it was looked for and is not there. tracking_uid: "" where it has none. answers: (what was
    asked of it, the answer)."""

    concept: Code | None
    site: Code | None
    laterality: Code | None
    absent: bool
    tracking_uid: str
    answers: tuple[tuple[Code, Code], ...]
    numbers: tuple[Measured, ...]
    comments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Algorithm:
    """Who made it. uid: Device UID, another one for each version and set of weights."""

    name: str
    version: str
    manufacturer: str
    uid: str


@dataclass(frozen=True, slots=True, repr=False)
class Account:
    """A report, whole. made_at, study_at: YYYYMMDDHHMMSS with the study's offset from UTC (+0100) where it states one,
    "" where unknown. referring_physician: as PN. procedure: what the report names as reported; requested_code: what the
    images say was requested. did_not_run: it says that nothing was looked at; reason: why, as a code."""

    report_uid: str
    study_uid: str
    patient: Patient
    accession_number: str
    study_at: str
    made_at: str
    referring_physician: str
    requested_procedure_id: str
    requested_code: Code | None
    procedure: Code | None
    algorithm: Algorithm
    title: str
    outcome: Code | None
    reason: Code | None
    notes: tuple[str, ...]
    findings: tuple[Found, ...]

    @property
    def did_not_run(self) -> bool:
        return self.outcome is not None and self.outcome.value == codes.DID_NOT_RUN.value


def read_account(report: Dataset) -> Account:
    """The account that `report` gives; tolerant of what it lacks."""
    outcome = find_outcome(report)
    request = _first(report, "ReferencedRequestSequence")
    return Account(
        report_uid=_text(report, "SOPInstanceUID"),
        study_uid=_text(report, "StudyInstanceUID"),
        patient=_read_patient(report),
        accession_number=_text(report, "AccessionNumber") or _text(request, "AccessionNumber"),
        study_at=_moment(report, "Study"),
        made_at=_moment(report, "Content"),
        referring_physician=_text(report, "ReferringPhysicianName"),
        requested_procedure_id=_text(request, "RequestedProcedureID"),
        requested_code=find_code(_first(request, "RequestedProcedureCodeSequence")),
        procedure=_find_procedure(report),
        algorithm=_find_algorithm(report),
        title=_text(report, "SeriesDescription"),
        outcome=outcome,
        reason=find_refusal_reason(report),
        notes=tuple(note for note in read_notes(report) if note),
        findings=tuple(_to_found(finding) for finding in read_findings(report)),
    )


def _read_patient(report: Dataset) -> Patient:
    sex = _text(report, "PatientSex")
    birth = _text(report, "PatientBirthDate")
    return Patient(
        id=_text(report, "PatientID"),
        issuer=_text(report, "IssuerOfPatientID"),
        name=_text(report, "PatientName"),
        birth_date=birth if len(birth) == 8 and birth.isdigit() else "",
        sex=sex if sex in {"M", "F", "O"} else "",
    )


def _to_found(finding: dict[str, Any]) -> Found:
    numbers = [m for m in finding["measurements"] if m["concept"] is not None]
    return Found(
        concept=finding["finding"],
        site=finding["site"],
        laterality=finding["laterality"],
        absent=finding["absent"],
        tracking_uid=finding["tracking_uid"] or "",
        answers=tuple((said["concept"], said["value"]) for said in finding["evaluations"]),
        numbers=tuple(Measured(m["concept"], m["value"], m["unit"], m["derivation"]) for m in numbers),
        comments=tuple(comment for comment in finding["comments"] if comment),
    )


def _find_procedure(report: Dataset) -> Code | None:
    for item in report.get("ContentSequence") or ():
        name = find_code(_first(item, "ConceptNameCodeSequence"))
        if name is not None and name.value == codes.PROCEDURE_REPORTED.value:
            return find_code(_first(item, "ConceptCodeSequence"))
    return None


def _find_algorithm(report: Dataset) -> Algorithm:
    """The equipment that made it (PS3.3 C.12.1.1.5)."""
    for item in report.get("ContributingEquipmentSequence") or ():
        purpose = find_code(_first(item, "PurposeOfReferenceCodeSequence"))
        if purpose is not None and purpose.value == codes.PROCESSING_EQUIPMENT.value:
            names = ("ManufacturerModelName", "SoftwareVersions", "Manufacturer", "DeviceUID")
            return Algorithm(*(_text(item, name) for name in names))
    return Algorithm("", "", "", "")


def _moment(report: Dataset, event: str) -> str:
    """Date and time of `event`; "" when it has no date."""
    date, time = _text(report, f"{event}Date"), _text(report, f"{event}Time").partition(".")[0]
    if len(date) != 8 or not date.isdigit():
        return ""
    if len(time) not in {2, 4, 6} or not time.isdigit():
        return date
    offset = _text(report, "TimezoneOffsetFromUTC")
    return date + time.ljust(6, "0") + (offset if len(offset) == 5 else "")


def _text(dataset: Dataset | None, keyword: str) -> str:
    value = find_value(dataset, keyword) if dataset is not None else None
    return "" if value is None else str(value).strip()


def _first(dataset: Dataset | None, keyword: str) -> Dataset | None:
    return next(iter(dataset.get(keyword) or ()), None) if dataset is not None else None
