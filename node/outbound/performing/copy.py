"""A claimed workitem as our own worklist holds it, and what its end says to the manager.

In:  the model that the manager tells, or the copy here.   Out: Datasets to create and to update.
"""

import json
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword

from node.model.workitem import StepPriority, StepState
from node.outbound.performing.board import Model
from node.worklist.of_job import name_station, to_item
from node.worklist.rules import EMPTY_AT_FIRST, to_moment
from pipelines.terms import Code

PROGRESS = "ProcedureStepProgressInformationSequence"
PERFORMED = "UnifiedProcedureStepPerformedProcedureSequence"

OWN = frozenset({"SOPClassUID", "SOPInstanceUID", "ScheduledProcedureStepModificationDateTime", *EMPTY_AT_FIRST})
"""What belongs to the workitem there, and not to what is to be done."""

TOO_FEW_OBJECTS = Code("110523", "DCM", "Object Set incomplete")
UNSPECIFIED = Code("110513", "DCM", "Discontinued for unspecified reason")


def to_copy(model: Model, station: str, at: float) -> Dataset:
    """A request to create the copy, scheduled for `station`, our AE title. What every workitem says and this one does
    not is filled in: the manager that took it without may do so. Raises what pydicom makes of damaged values
    (`header.DAMAGE`)."""
    left_out = {f"{tag_for_keyword(keyword):08X}" for keyword in OWN}
    copy = Dataset.from_json({tag: element for tag, element in model.items() if tag not in left_out})
    copy.ProcedureStepState = str(StepState.SCHEDULED)
    copy.ScheduledStationNameCodeSequence = [name_station(station)]
    defaults = {
        "ScheduledProcedureStepPriority": str(StepPriority.MEDIUM),
        "ProcedureStepLabel": "workitem of another manager",
        "ScheduledProcedureStepStartDateTime": to_moment(at),
        "InputReadinessState": "READY",
    }
    for keyword, value in defaults.items():
        if not copy.get(keyword):
            setattr(copy, keyword, value)
    return copy


def read_progress(model: dict[str, Any]) -> Dataset:
    """Progress as N-SET tells it; empty where there is none yet."""
    return _pick(model, PROGRESS)


def read_end(model: dict[str, Any]) -> Dataset:
    """Progress, and what was performed, for N-SET before the final state."""
    return _pick(model, PROGRESS, PERFORMED)


def make_reason(text: str, code: Code) -> Dataset:
    """A request to cancel, with the reason."""
    request = Dataset()
    request.ReasonForCancellation = text
    request.ProcedureStepDiscontinuationReasonCodeSequence = [to_item(code)]
    return request


def refuse(text: str, code: Code, at: float) -> Dataset:
    """What is said before CANCELED of a workitem that never got a copy."""
    progress = make_reason(text, code)
    progress.ProcedureStepCancellationDateTime = to_moment(at)
    changes = Dataset()
    changes.ProcedureStepProgressInformationSequence = [progress]
    return changes


def dump(dataset: Dataset) -> str:
    """As text to compare."""
    return json.dumps(dataset.to_json_dict(), ensure_ascii=False, sort_keys=True)


def _pick(model: dict[str, Any], *keywords: str) -> Dataset:
    tags = [f"{tag_for_keyword(keyword):08X}" for keyword in keywords]
    return Dataset.from_json({tag: model[tag] for tag in tags if model.get(tag, {}).get("Value")})
