"""A workitem as FHIR R4: a Task, PUT under an id of ours in a transaction of its own.

The id derives from the job and from how often it was run again, as its workitem's uid does: a repeat changes nothing,
and what comes later takes the place of what was said before (http.html#upsert). Patient, order, study and report are
referred to by identifier, since their addresses are the server's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from node.messages.account import Patient
from node.messages.fhir import (
    Resource,
    refer_to_order,
    refer_to_patient,
    refer_to_study,
    to_coding,
    to_instant,
    to_uid,
    without_empty,
)
from node.model.delivery import Kind, ResultObject
from node.model.job import FINAL, Event, Job, Priority, State
from node.model.uid import derive_key
from pipelines.terms import Code

STATUS = {
    State.QUEUED: ("requested", "it waits for a worker"),
    State.CLAIMED: ("in-progress", "it runs"),
    State.ENCODED: ("in-progress", "the results are on their way"),
    State.DELIVERED: ("in-progress", "the destinations are asked to confirm"),
    State.CONFIRMED: ("completed", "every destination keeps the results"),
    State.FAILED: ("failed", "it failed"),
    State.CANCELED: ("cancelled", "it was canceled"),
}
"""State of a job -> Task.status, and words of the business status."""

PRIORITIES = {Priority.STAT: "stat", Priority.ROUTINE: "routine", Priority.OFF_PEAK: "routine"}
"""FHIR knows nothing below routine."""

BUSINESS = "urn:wetread:job-state"
TITLE = "urn:wetread:ae-title"


@dataclass(frozen=True, slots=True, repr=False)
class Errand:
    """What a Task says. turn: 1, and one more each time that a job which had ended runs again. workitems: uids of those
    that speak of the job. title: of its pipeline. patient_ids: the one that is used now first; authority: of ids whose
    images name no issuer. history: of the job. outputs: what its destinations hold. why: it was discontinued.
    station: our AE title."""

    job: Job
    turn: int
    workitems: tuple[str, ...]
    title: str
    patient: Patient
    patient_ids: tuple[str, ...]
    authority: str
    accession_number: str
    history: Sequence[Event]
    outputs: Sequence[ResultObject]
    why: Sequence[Code]
    station: str


def find_status(errand: Errand) -> str:
    """Task.status. A job whose worker was lost waits again, and is in progress all the same: there is no way back."""
    state = errand.job.state
    is_begun = state == State.QUEUED and find_start(errand.history) is not None
    return STATUS[State.CLAIMED if is_begun else state][0]


def find_start(history: Sequence[Event]) -> float | None:
    """When the job was first claimed (seconds since the epoch) since it last ended; None before."""
    last = list(takewhile(lambda event: event.state not in FINAL, reversed(_without_end(history))))
    return next((event.at for event in reversed(last) if event.state == State.CLAIMED), None)


def make_task(errand: Errand) -> Resource:
    """A Bundle of type transaction that puts the Task."""
    task_id = f"wetread-{derive_key('task', errand.job.id, str(errand.turn))}"
    task = without_empty(_make_head(errand, task_id) | _make_rest(errand))
    entry = {"resource": task, "request": {"method": "PUT", "url": f"Task/{task_id}"}}
    return {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}


def _make_head(errand: Errand, task_id: str) -> Resource:
    job = errand.job
    pipeline = Code(job.pipeline, "99WETREAD", errand.title)
    words = STATUS[job.state][1]
    return {
        "resourceType": "Task",
        "id": task_id,
        "identifier": [to_uid(uid) for uid in errand.workitems],
        "basedOn": [refer_to_order(errand.accession_number)] if errand.accession_number else [],
        "status": find_status(errand),
        "statusReason": _make_reason(errand),
        "businessStatus": {"coding": [{"system": BUSINESS, "code": str(job.state)}], "text": words},
        "intent": "order",
        "priority": PRIORITIES[job.priority],
        "code": {"coding": [to_coding(pipeline)], "text": errand.title},
        "description": errand.title,
        "focus": refer_to_study(job.study_uid),
    }


def _make_rest(errand: Errand) -> Resource:
    job, start = errand.job, find_start(errand.history)
    last = errand.history[-1].at if errand.history else job.created_at
    period = {"start": to_instant(start)} if start is not None else {}
    if job.state in FINAL:
        period |= {"end": to_instant(last)}
    owner = {"type": "Device", "identifier": {"system": TITLE, "value": errand.station}, "display": errand.station}
    return {
        "for": refer_to_patient(errand.patient, errand.patient_ids, errand.authority) if errand.patient.id else {},
        "executionPeriod": period,
        "authoredOn": to_instant(job.created_at),
        "lastModified": to_instant(last),
        "owner": owner,
        "input": [{"type": {"text": "Images"}, "valueReference": refer_to_study(job.study_uid)}],
        "output": _list_outputs(errand),
    }


def _list_outputs(errand: Errand) -> list[Resource]:
    """The study that holds them, reports as DiagnosticReport, and every object by its uid."""
    if not errand.outputs:
        return []
    outputs: list[Resource] = [{"type": {"text": "Results"}, "valueReference": refer_to_study(errand.job.study_uid)}]
    for one in errand.outputs:
        if one.kind == Kind.REPORT:
            report = {"type": "DiagnosticReport", "identifier": to_uid(one.sop_instance_uid)}
            outputs.append({"type": {"text": "Report"}, "valueReference": report})
        outputs.append({"type": {"text": one.modality}, "valueOid": f"urn:oid:{one.sop_instance_uid}"})
    return outputs


def _make_reason(errand: Errand) -> Resource:
    if errand.job.state not in {State.FAILED, State.CANCELED}:
        return {}
    return {"coding": [to_coding(code) for code in errand.why], "text": errand.job.reason or "canceled"}


def _without_end(history: Sequence[Event]) -> list[Event]:
    """Without the lines at its end that say that it ended."""
    events = list(history)
    while events and events[-1].state in FINAL:
        events.pop()
    return events
