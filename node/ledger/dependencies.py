"""Jobs that come after another: no state of their own, one question that every claim asks.

A job whose `after` names another waits QUEUED until the result objects of that one lie in the outbox. When the other
ends without any, or there is none, the waiting job is FAILED by name at the next round of housekeeping.
"""

import logging

from sqlalchemy import ColumnElement, Engine, Table, and_, exists, or_, select

from node.errors import DependencyFailed, LostLease
from node.ledger import tables as t
from node.ledger.ledger import Ledger
from node.model.delivery import ResultObject
from node.model.job import Job, State

log = logging.getLogger(__name__)

MADE = (State.ENCODED, State.DELIVERED, State.CONFIRMED)
"""The result objects of such a job are in the outbox."""

ENDED = (State.FAILED, State.CANCELED)


def is_unblocked(job: Table) -> ColumnElement[bool]:
    """True for rows of `job` that come after nothing, or after a job whose objects are in the outbox."""
    before = t.job.alias()
    return or_(job.c.after == "", exists().where(and_(before.c.id == job.c.after, before.c.state.in_(MADE))))


def is_open(job: Table, now: float) -> ColumnElement[bool]:
    """True for rows of `job` that the schedule of their route lets run at `now`."""
    return job.c.not_before <= now


class DependencyLedger:
    """The part of `SqlLedger` that knows which jobs wait in vain."""

    _reader: Engine

    def find_stranded(self) -> list[tuple[str, State | None]]:
        """(id, state of the job that it comes after, None where there is no such job) of QUEUED jobs that wait for
        what never comes."""
        j, before = t.job, t.job.alias()
        query = select(j.c.id, before.c.state).outerjoin(before, before.c.id == j.c.after)
        query = query.where((j.c.state == State.QUEUED) & (j.c.after != ""))
        query = query.where(before.c.id.is_(None) | before.c.state.in_(ENDED))
        with self._reader.connect() as db:
            return [(row.id, State(row.state) if row.state else None) for row in db.execute(query)]


def fail_stranded(ledger: Ledger, now: float) -> None:
    """FAILED for every job whose dependency failed, was canceled or is none. One round fails a chain's next link."""
    for job_id, state in ledger.find_stranded():
        job = ledger.get_job(job_id)
        text = f"{DependencyFailed.__name__}: {_say(ledger, job, state)}"
        try:
            ledger.move_job(job, State.FAILED, now, "housekeeping", text)
        except LostLease:
            continue
        log.error("job %s failed: %s", job_id, text)


def find_inputs(job: Job, ledger: Ledger) -> list[ResultObject]:
    """The result objects of the job that `job` comes after, in the order they were made; none when it comes after
    nothing. Raises DependencyFailed when that job has none."""
    if not job.after:
        return []
    before = ledger.find_jobs(job.study_uid)
    state = next((one.state for one in before if one.id == job.after), None)
    if state not in MADE:
        raise DependencyFailed(_say(ledger, job, state))
    return ledger.find_objects(job.after)


def _say(ledger: Ledger, job: Job, state: State | None) -> str:
    if state is None:
        return "the route that it comes after made no job of this study"
    return f"it comes after {ledger.get_job(job.after).pipeline}, job {job.after[:12]}, which is {state}"
