"""A Modality Performed Procedure Step read (PS3.4 annex F, table F.7.2-1): what was made, and whether it is over.

Checked is what a step is known by and what is used. Other attributes of type 2 are not insisted on: a modality whose
step is refused keeps it in its queue for ever.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset

from node.dicom.header import find_value
from node.dicom.required import INVALID_VALUE, BadAttribute, get_items, get_required, get_uid
from node.model.expectation import StepState

TYPE_1 = (
    "PerformedProcedureStepID",
    "PerformedStationAETitle",
    "PerformedProcedureStepStartDate",
    "PerformedProcedureStepStartTime",
    "Modality",
)
"""Beside the status and what is scheduled; of an N-CREATE."""


@dataclass(frozen=True, slots=True)
class Change:
    """What an N-SET says. state: None where it says none; images: SOP Instance UIDs of all that were made up to now,
    None where it does not say."""

    state: StepState | None
    images: tuple[str, ...] | None


def read_creation(dataset: Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(Study Instance UIDs, SOP Instance UIDs of images that were made already) of a step that begins. Raises
    BadAttribute naming the attribute at fault."""
    steps = get_items(dataset, "ScheduledStepAttributesSequence")
    study_uids = tuple(dict.fromkeys(get_uid(step, "StudyInstanceUID") for step in steps))
    for keyword in TYPE_1:
        get_required(dataset, keyword)
    get_required(dataset, "PerformedProcedureStepStatus")
    change = read_change(dataset)
    if change.state != StepState.IN_PROGRESS:
        raise BadAttribute(INVALID_VALUE, "PerformedProcedureStepStatus must begin as IN PROGRESS")
    return study_uids, change.images or ()


def read_change(dataset: Dataset) -> Change:
    """Raises BadAttribute naming the attribute at fault."""
    state = None
    if "PerformedProcedureStepStatus" in dataset:
        said = str(get_required(dataset, "PerformedProcedureStepStatus"))
        if said not in set(StepState):
            raise BadAttribute(INVALID_VALUE, "PerformedProcedureStepStatus is none of the defined terms")
        state = StepState(said)
    if "PerformedSeriesSequence" not in dataset:
        return Change(state, None)
    series = find_value(dataset, "PerformedSeriesSequence") or ()
    return Change(state, tuple(dict.fromkeys(uid for item in series for uid in _read_images(item))))


def _read_images(series: Dataset) -> Iterator[str]:
    """Images alone: reports and presentation states go other ways than images, or none."""
    get_uid(series, "SeriesInstanceUID")
    for item in find_value(series, "ReferencedImageSequence") or ():
        get_uid(item, "ReferencedSOPClassUID")
        yield get_uid(item, "ReferencedSOPInstanceUID")
