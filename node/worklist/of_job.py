"""A job said as a workitem: what is planned, how far it is, what it made, why it ended.

In:  a job, a header of its study, its deliveries.   Out: Datasets for N-CREATE and N-SET.
"""

from collections.abc import Iterable, Sequence
from itertools import groupby

from pydicom import Dataset

from node.dicom.refusal import REASONS, SCHEME, find_reason
from node.model.delivery import Delivery, DeliveryState, ResultObject
from node.model.job import Event, Job, Priority, State
from node.model.study import Instance
from node.model.workitem import Readiness, StepPriority, StepState
from node.worklist.rules import WORKLIST, to_moment
from pipelines.terms import Code

PRIORITIES = {
    Priority.STAT: StepPriority.HIGH,
    Priority.ROUTINE: StepPriority.MEDIUM,
    Priority.OFF_PEAK: StepPriority.LOW,
}
"""Ours -> (0074,1200)."""

URGENCY = {str(step): ours for ours, step in PRIORITIES.items()}

PATIENT = ("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
REQUEST = ("AccessionNumber", "StudyInstanceUID", "RequestedProcedureID", "RequestedProcedureDescription")

EQUIPMENT_FAILURE = Code("110501", "DCM", "Equipment failure")
UNSPECIFIED = Code("110513", "DCM", "Discontinued for unspecified reason")
WRONG_OBJECTS = Code("110522", "DCM", "Object Types not supported")
TOO_FEW_OBJECTS = Code("110523", "DCM", "Object Set incomplete")

FAILURES = {
    "IncompleteStudy": TOO_FEW_OBJECTS,
    "MissingSlices": TOO_FEW_OBJECTS,
    "PriorMissing": TOO_FEW_OBJECTS,
    "TooFewSlices": TOO_FEW_OBJECTS,
    "OutOfMemory": EQUIPMENT_FAILURE,
    "OutOfTime": EQUIPMENT_FAILURE,
    "OutboxUnwritable": EQUIPMENT_FAILURE,
    "WorkerLost": EQUIPMENT_FAILURE,
}
"""Name of an error -> why a procedure is discontinued (CID 9300)."""

STAGES = {
    State.QUEUED: (0, "it waits for a worker again"),
    State.ENCODED: (99, "the results are on their way"),
    State.DELIVERED: (99, "the destinations are asked to confirm"),
}
"""Percent and text while no worker says more."""


def plan(job: Job, title: str, station: str, header: Dataset, inputs: Sequence[Instance]) -> Dataset:
    """A new workitem for `job`. title: of its pipeline; station: our AE title; header: of one of its images, may be
    empty; inputs: its images."""
    item = Dataset()
    item.ProcedureStepState = str(StepState.SCHEDULED)
    item.ScheduledProcedureStepPriority = str(PRIORITIES[job.priority])
    item.ProcedureStepLabel = title[:64]
    item.WorklistLabel = WORKLIST
    item.ScheduledProcedureStepStartDateTime = to_moment(job.not_before or job.created_at)
    item.InputReadinessState = str(Readiness.READY)
    item.ScheduledWorkitemCodeSequence = [name_pipeline(job.pipeline, title)]
    item.ScheduledStationNameCodeSequence = [name_station(station)]
    item.ScheduledProcessingParametersSequence = []
    item.ScheduledStationClassCodeSequence = []
    item.ScheduledStationGeographicLocationCodeSequence = []
    item.InputInformationSequence = list(_refer_to_inputs(job.study_uid, inputs))
    item.StudyInstanceUID = job.study_uid
    for keyword in PATIENT:
        setattr(item, keyword, header.get(keyword))
    item.ReferencedRequestSequence = _refer_to_request(header)
    item.ProcedureStepProgressInformationSequence = []
    item.UnifiedProcedureStepPerformedProcedureSequence = []
    return item


def state_progress(job: Job) -> Dataset:
    """How far an unfinished job is, for N-SET."""
    percent, text = STAGES.get(job.state, (min(int(job.progress * 100), 99), job.activity))
    progress = Dataset()
    progress.ProcedureStepProgress = str(percent)
    progress.ProcedureStepProgressDescription = text or "it runs"
    return _wrap("ProcedureStepProgressInformationSequence", progress)


def state_wait(text: str) -> Dataset:
    """What a workitem waits for of which nothing is done yet, for N-SET."""
    progress = Dataset()
    progress.ProcedureStepProgress, progress.ProcedureStepProgressDescription = "0", text
    return _wrap("ProcedureStepProgressInformationSequence", progress)


def state_end(
    job: Job, title: str, station: str, history: Sequence[Event], outputs: Iterable[Dataset], code: Dataset | None
) -> Dataset:
    """What an ended job did, for N-SET before the final state. code: of the workitem, where it has one."""
    begun = [event.at for event in history if event.state == State.CLAIMED]
    end = history[-1].at if history else job.created_at
    performed = Dataset()
    performed.PerformedStationNameCodeSequence = [name_station(station)]
    performed.PerformedProcedureStepStartDateTime = to_moment(begun[-1] if begun else job.created_at)
    performed.PerformedProcedureStepEndDateTime = to_moment(end)
    performed.PerformedWorkitemCodeSequence = [code or name_pipeline(job.pipeline, title)]
    performed.OutputInformationSequence = list(outputs)
    changes = _wrap("UnifiedProcedureStepPerformedProcedureSequence", performed)
    progress = Dataset()
    if job.state == State.CONFIRMED:
        progress.ProcedureStepProgress = "100"
        progress.ProcedureStepProgressDescription = "done"
    else:
        progress.ProcedureStepCancellationDateTime = to_moment(end)
        progress.ReasonForCancellation = job.reason or str(job.state)
        progress.ProcedureStepDiscontinuationReasonCodeSequence = [to_item(code) for code in find_why(job)]
    changes.ProcedureStepProgressInformationSequence = [progress]
    return changes


def find_why(job: Job) -> list[Code]:
    """Why it was discontinued: a code of the standard, and our own of a refusal beside it."""
    name = job.reason.partition(":")[0] if job.state == State.FAILED else ""
    general = FAILURES.get(name) or (WRONG_OBJECTS if name in REASONS else UNSPECIFIED)
    return [general, find_reason(name)] if name in REASONS else [general]


def refer_to_outputs(
    study_uid: str, deliveries: Sequence[Delivery], objects: Sequence[ResultObject], titles: dict[str, str]
) -> list[Dataset]:
    """Items of the Output Information Sequence, one a series: all that destinations hold, or without destinations all
    that lies in the outbox. titles: name of a destination -> its AE title, from which it may be retrieved."""
    lost = {DeliveryState.REFUSED, DeliveryState.REPLACED}
    sent = [one for one in deliveries if one.state not in lost]
    spare = {one.substitute for one in objects}
    held = {one.object for one in sent} if deliveries else {o for o in objects if o.sop_instance_uid not in spare}
    items = []
    ordered = sorted(held, key=lambda one: (one.series_uid, one.sop_instance_uid))
    for series_uid, group in groupby(ordered, key=lambda one: one.series_uid):
        members = list(group)
        uids = {one.sop_instance_uid for one in members}
        places = sorted({titles.get(one.destination, "") for one in sent if one.object.sop_instance_uid in uids})
        pairs = [(one.sop_class_uid, one.sop_instance_uid) for one in members]
        items.append(_refer(study_uid, series_uid, pairs, [place for place in places if place]))
    return items


SHORT = 16
"""Characters of a Code Value; what is longer is a Long Code Value (PS3.3 table 8.8-1)."""


def name_pipeline(pipeline: str, title: str) -> Dataset:
    """The code by which a workitem names one of our pipelines."""
    item = to_item(Code(pipeline[:SHORT], SCHEME, title[:64]))
    if len(pipeline) > SHORT:
        del item.CodeValue
        item.LongCodeValue = pipeline
    return item


def name_station(title: str) -> Dataset:
    """The code of this node, as scheduled and as performing station."""
    return to_item(Code(title, SCHEME, title))


def to_item(code: Code) -> Dataset:
    """An item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def _refer_to_inputs(study_uid: str, inputs: Sequence[Instance]) -> Iterable[Dataset]:
    ordered = sorted(inputs, key=lambda one: one.series_uid)
    for series_uid, group in groupby(ordered, key=lambda one: one.series_uid):
        yield _refer(study_uid, series_uid, [(one.sop_class_uid, one.sop_instance_uid) for one in group], [])


def _refer(study_uid: str, series_uid: str, pairs: Sequence[tuple[str, str]], titles: Sequence[str]) -> Dataset:
    """(PS3.3 table 10-3b, Referenced Instances and Access)"""
    item = Dataset()
    item.TypeOfInstances = "DICOM"
    item.StudyInstanceUID, item.SeriesInstanceUID = study_uid, series_uid
    item.ReferencedSOPSequence = [_refer_to_object(*pair) for pair in pairs]
    if titles:
        item.DICOMRetrievalSequence = [_name_place(title) for title in titles]
    return item


def _refer_to_object(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class_uid, sop_instance_uid
    return item


def _name_place(title: str) -> Dataset:
    item = Dataset()
    item.RetrieveAETitle = title
    return item


def _refer_to_request(header: Dataset) -> list[Dataset]:
    """The order that the images say they were made for; nothing without an accession number."""
    if not header.get("AccessionNumber"):
        return []
    item = Dataset()
    for keyword in REQUEST:
        setattr(item, keyword, header.get(keyword))
    return [item]


def _wrap(keyword: str, item: Dataset) -> Dataset:
    changes = Dataset()
    setattr(changes, keyword, [item])
    return changes
