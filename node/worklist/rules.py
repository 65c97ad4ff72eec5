"""What a workitem must say to be created, changed and finished (PS3.4 Table CC.2.5-3).

In:  the Dataset of a request.   Out: what is wrong with it, as WorkitemRefused, or what is missing.
"""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum

from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence

from node.errors import WorkitemRefused
from node.model.workitem import Readiness, StepPriority, StepState

MISSING, EMPTY, INVALID, NOT_SCHEDULED = 0x0120, 0x0121, 0x0106, 0xC309
"""DIMSE statuses (PS3.7 annex C, PS3.4 Table CC.2.5-4)."""

VALUED = (
    "ProcedureStepState",
    "ScheduledProcedureStepPriority",
    "ProcedureStepLabel",
    "ScheduledProcedureStepStartDateTime",
    "InputReadinessState",
)
"""Type 1: never without a value."""

PRESENT = (
    "WorklistLabel",
    "ScheduledProcessingParametersSequence",
    "ScheduledStationNameCodeSequence",
    "ScheduledStationClassCodeSequence",
    "ScheduledStationGeographicLocationCodeSequence",
    "ScheduledWorkitemCodeSequence",
    "InputInformationSequence",
    "StudyInstanceUID",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "ReferencedRequestSequence",
    "ProcedureStepProgressInformationSequence",
    "UnifiedProcedureStepPerformedProcedureSequence",
)
"""Type 2: what a request leaves out is added empty, and the answer says that the workitem was modified."""

EMPTY_AT_FIRST = (
    "TransactionUID",
    "ProcedureStepProgressInformationSequence",
    "UnifiedProcedureStepPerformedProcedureSequence",
)

NEVER_SET = (
    "ProcedureStepState",
    "SOPClassUID",
    "SOPInstanceUID",
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
)
"""What N-SET may not change; saying what is there already changes nothing."""

WORDS: dict[str, type[StrEnum]] = {
    "ProcedureStepState": StepState,
    "ScheduledProcedureStepPriority": StepPriority,
    "InputReadinessState": Readiness,
}

WORKLIST = "WETREAD"
"""Worklist Label of what came without."""

PERFORMED = (
    "PerformedStationNameCodeSequence",
    "PerformedProcedureStepStartDateTime",
    "PerformedWorkitemCodeSequence",
    "PerformedProcedureStepEndDateTime",
)
"""Final State code P: COMPLETED needs them."""


def check_new(request: Dataset) -> None:
    """Raises WorkitemRefused naming the attribute at fault."""
    for keyword in VALUED:
        if keyword not in request:
            raise _refuse(keyword, "is missing", MISSING)
        if _is_empty(request, keyword):
            raise _refuse(keyword, "has no value", EMPTY)
    for keyword in EMPTY_AT_FIRST:
        if not _is_empty(request, keyword):
            raise _refuse(keyword, "must be empty in a new workitem", INVALID)
    _check_words(request)
    if request.ProcedureStepState != StepState.SCHEDULED:
        raise _refuse("ProcedureStepState", "of a new workitem must be SCHEDULED", NOT_SCHEDULED)


def check_changes(changes: Dataset, present: Dataset) -> None:
    """Raises WorkitemRefused naming the attribute that may not be set so."""
    for keyword in NEVER_SET:
        if keyword in changes and changes.get(keyword) != present.get(keyword):
            raise _refuse(keyword, "may not be set", INVALID)
    for keyword in VALUED:
        if keyword in changes and _is_empty(changes, keyword):
            raise _refuse(keyword, "may not be emptied", EMPTY)
    _check_words(changes)


def complete(request: Dataset, at: float) -> bool:
    """Adds to a new workitem what the SCP adds; True when it lacked something that its creator should have said."""
    lacked = [keyword for keyword in PRESENT if keyword not in request]
    for keyword in lacked:
        setattr(request, keyword, DicomSequence() if keyword.endswith("Sequence") else None)
    if _is_empty(request, "WorklistLabel"):
        request.WorklistLabel = WORKLIST
    stamp(request, at)
    return bool(lacked)


def stamp(workitem: Dataset, at: float) -> None:
    """When it was last modified."""
    workitem.ScheduledProcedureStepModificationDateTime = to_moment(at)


def find_unmet(workitem: Dataset) -> Iterator[str]:
    """Keywords of what COMPLETED lacks. The Output Information Sequence must be there, but may have no items."""
    performed = workitem.get("UnifiedProcedureStepPerformedProcedureSequence") or ()
    if not performed:
        yield "UnifiedProcedureStepPerformedProcedureSequence"
    for item in performed:
        yield from (keyword for keyword in PERFORMED if _is_empty(item, keyword))
        if "OutputInformationSequence" not in item:
            yield "OutputInformationSequence"


def find_progress(workitem: Dataset) -> Dataset:
    """The one item of its Progress Information Sequence, made where there is none."""
    if not workitem.get("ProcedureStepProgressInformationSequence"):
        workitem.ProcedureStepProgressInformationSequence = [Dataset()]
    item: Dataset = workitem.ProcedureStepProgressInformationSequence[0]
    return item


def to_moment(at: float) -> str:
    """`at` (epoch seconds) as DT in the machine's time zone, with its offset."""
    return datetime.fromtimestamp(at).astimezone().strftime("%Y%m%d%H%M%S.%f%z")


def _check_words(request: Dataset) -> None:
    for keyword, words in WORDS.items():
        if keyword in request and request.get(keyword) not in set(words):
            raise _refuse(keyword, f"must be {' or '.join(words)}", INVALID)


def _is_empty(dataset: Dataset, keyword: str) -> bool:
    return keyword not in dataset or dataset[keyword].is_empty


def _refuse(keyword: str, why: str, status: int) -> WorkitemRefused:
    return WorkitemRefused(f"{keyword} {why} (PS3.4 Table CC.2.5-3)", status, 400)
