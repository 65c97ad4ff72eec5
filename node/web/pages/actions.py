"""What an operator does to a job or a study by the web: the same as the commands of `wetread`, each a sentence back."""

import time
from pathlib import Path

from node.errors import LostLease, UnknownJob
from node.ledger import Ledger
from node.model.expectation import Expectation, Kind
from node.model.job import FINAL, TRANSITIONS, Job, Priority, State
from node.model.study import Study, StudyState
from node.outbound.resend import SENDABLE
from node.outbound.resend import resend as send_again
from node.web.dicomweb.problem import Problem

TEXT = "an operator asked for it"


def get_job(ledger: Ledger, job_id: str) -> Job:
    """The job with this id. Raises Problem 404."""
    try:
        return ledger.get_job(job_id)
    except UnknownJob:
        raise Problem(404, f"there is no job {job_id[:64]}") from None


def get_study(ledger: Ledger, study_uid: str) -> Study:
    """The study with this uid. Raises Problem 404."""
    study = ledger.find_study(study_uid)
    if study is None:
        raise Problem(404, f"there is no study {study_uid[:64]}")
    return study


def find_possible(job: Job) -> frozenset[str]:
    """What may be done to `job` as it is: of "retry", "cancel", "resend", "priority"."""
    possible = {
        "retry": job.state == State.FAILED and not job.superseded_by,
        "cancel": State.CANCELED in TRANSITIONS[job.state],
        "resend": job.state in SENDABLE and not job.superseded_by,
        "priority": job.state == State.QUEUED,
    }
    return frozenset(name for name, may in possible.items() if may)


def retry(ledger: Ledger, job: Job) -> str:
    """A FAILED job is QUEUED again: the same inputs, the same result uids. Raises Problem 409."""
    if job.state != State.FAILED:
        hint = "it is final" if job.state in FINAL else "it is still on its way"
        raise Problem(409, f"the job is {job.state}, only a FAILED job is queued again: {hint}")
    if job.superseded_by:
        raise Problem(409, f"the job is superseded by job {job.superseded_by}, which speaks for the study")
    _move(ledger, job, State.QUEUED, "retry")
    return "The job is queued again."


def cancel(ledger: Ledger, job: Job) -> str:
    """What was not sent yet never will be. Raises Problem 409."""
    if State.CANCELED not in TRANSITIONS[job.state]:
        raise Problem(409, f"the job is {job.state} and cannot be canceled any more")
    _move(ledger, job, State.CANCELED, "cancel")
    return "The job is canceled."


def resend(ledger: Ledger, job: Job, outbox: Path, peer: str = "") -> str:
    """The same objects again, to `peer` or to each destination. Raises Problem 409."""
    try:
        number = send_again(ledger, job, outbox, peer)
    except (UnknownJob, LostLease) as error:
        raise Problem(409, str(error)) from None
    return f"Objects to be sent again: {number}."


def set_priority(ledger: Ledger, job: Job, to: str) -> str:
    """Of a job that waits. Raises Problem 400 for no priority, 409 when it no longer waits."""
    if to not in set(Priority):
        raise Problem(400, f"priority is one of {', '.join(Priority)}")
    try:
        ledger.set_priority(job, Priority(to), time.time())
    except LostLease as error:
        raise Problem(409, str(error)) from None
    return f"The job is {to} now."


def complete(ledger: Ledger, study: Study) -> str:
    """A study that waits for images is closed by the node's next look. Raises Problem 409."""
    if study.state != StudyState.RECEIVING:
        raise Problem(409, "the study is closed already")
    ledger.put_expectation(Expectation(study.study_uid, Kind.OPERATOR, "", time.time()))
    return "The study will be closed in a moment."


def _move(ledger: Ledger, job: Job, to: State, station: str) -> None:
    try:
        ledger.move_job(job, to, time.time(), station, TEXT)
    except LostLease as error:
        raise Problem(409, f"{error}: look again") from None
