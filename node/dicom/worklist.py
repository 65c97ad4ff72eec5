"""Modality Worklist (PS3.4 annex K): what is asked for the order of a study, and what an answer says."""

import re
from typing import Any

from pydicom import Dataset

from node.dicom.codes import find_code
from node.dicom.header import find_value
from node.model.job import Priority
from node.model.order import Order

RETURN_KEYS = (
    "PatientID",
    "IssuerOfPatientID",
    "StudyInstanceUID",
    "ReferringPhysicianName",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestedProcedurePriority",
    "ReasonForTheRequestedProcedure",
    "PlacerOrderNumberImagingServiceRequest",
    "FillerOrderNumberImagingServiceRequest",
)
SEQUENCES = ("IssuerOfAccessionNumberSequence", "RequestedProcedureCodeSequence", "ScheduledProcedureStepSequence")

PRIORITIES = {
    "STAT": Priority.STAT,
    "HIGH": Priority.STAT,
    "ROUTINE": Priority.ROUTINE,
    "MEDIUM": Priority.ROUTINE,
    "LOW": Priority.OFF_PEAK,
}
"""Requested Procedure Priority (0040,1003; PS3.3 C.4.11) as the queue has it, which knows three."""


def make_question(accession_number: str) -> Dataset:
    """The identifier of a C-FIND for all that was scheduled under `accession_number` (PS3.4 table K.6-1)."""
    question = Dataset()
    for keyword in RETURN_KEYS:
        setattr(question, keyword, "")
    for keyword in SEQUENCES:
        setattr(question, keyword, [Dataset()] if keyword == "ScheduledProcedureStepSequence" else [])
    step = question.ScheduledProcedureStepSequence[0]
    step.Modality = step.ScheduledProcedureStepID = ""
    question.AccessionNumber = accession_number
    if not accession_number.isascii():
        question.SpecificCharacterSet = "ISO_IR 192"
    return question


def to_order(answer: Dataset, at: float) -> Order | None:
    """What one answer says; None when it names neither accession number nor study."""
    study_uid = _text(answer, "StudyInstanceUID")
    study_uid = study_uid if re.fullmatch(r"[0-9.]{1,64}", study_uid) else ""
    accession_number = _text(answer, "AccessionNumber")
    if not accession_number and not study_uid:
        return None
    return Order(
        accession_number=accession_number,
        issuer=read_issuer(answer),
        placer_order_number=_text(answer, "PlacerOrderNumberImagingServiceRequest"),
        filler_order_number=_text(answer, "FillerOrderNumberImagingServiceRequest"),
        requested_procedure_id=_text(answer, "RequestedProcedureID"),
        requested_procedure_description=_text(answer, "RequestedProcedureDescription"),
        procedure_code=find_code(_first(answer, "RequestedProcedureCodeSequence")),
        reason=_text(answer, "ReasonForTheRequestedProcedure"),
        referring_physician=_text(answer, "ReferringPhysicianName"),
        priority=PRIORITIES.get(_text(answer, "RequestedProcedurePriority").upper()),
        study_uid=study_uid,
        source="mwl",
        at=at,
        patient_id=_text(answer, "PatientID"),
        patient_issuer=_text(answer, "IssuerOfPatientID"),
    )


def read_issuer(dataset: Dataset) -> str:
    """Who gave its accession number (PS3.3 table 10-17): local namespace, else universal; "" when it does not say."""
    item = _first(dataset, "IssuerOfAccessionNumberSequence")
    if item is None:
        return ""
    return _text(item, "LocalNamespaceEntityID") or _text(item, "UniversalEntityID")


def _first(dataset: Dataset, keyword: str) -> Dataset | None:
    items: Any = find_value(dataset, keyword)
    return items[0] if items and isinstance(items[0], Dataset) else None


def _text(dataset: Dataset, keyword: str) -> str:
    value: Any = find_value(dataset, keyword)
    return "" if value is None else str(value).strip()
