"""Which job is next, and whose it is: one QUEUED job of a lane becomes CLAIMED under a lease with a fencing token.

The order: what is more urgent first; of equal jobs that whose study keeps the fewest workers busy, so that one study
cannot occupy them all; of those the one that waits longest. A worker that takes turns for the patient asks for the
oldest instead, so that nothing starves.
"""

from collections.abc import Sequence
from uuid import uuid4

from sqlalchemy import ColumnElement, Connection, Engine, func, select, update

from node.errors import LostLease
from node.ledger import tables as t
from node.ledger.chunks import fill_up
from node.ledger.dependencies import is_open, is_unblocked
from node.ledger.gathering import is_ready
from node.ledger.jobs import find_rank, get_job, remember, to_job
from node.model.job import Job, Priority, State


class ClaimLedger:
    """The part of `SqlLedger` that workers and the doorbell use."""

    _engine: Engine
    _reader: Engine

    def claim_job(self, job_id: str, worker: str, until: float, at: float) -> Job | None:
        """See Ledger.claim_job."""
        with self._engine.begin() as db:
            return _claim(db, t.job.c.id == job_id, worker, until, at)

    def claim_next(
        self, lanes: Sequence[str], worker: str, until: float, at: float, *, waiting_since: float | None = None
    ) -> Job | None:
        """See Ledger.claim_next."""
        j, running = t.job, t.job.alias()
        busy = select(func.count()).where((running.c.study_uid == j.c.study_uid) & (running.c.state == State.CLAIMED))
        free = select(j.c.id).where(_is_free(at) & j.c.lane.in_(lanes)).limit(1).with_for_update(skip_locked=True)
        by_rank = free.order_by(find_rank(j), busy.scalar_subquery(), j.c.created_at, j.c.id)
        with self._engine.begin() as db:
            found = None
            if waiting_since is not None:
                aged = free.where(j.c.created_at < waiting_since).order_by(j.c.created_at, j.c.id)
                found = db.execute(aged).scalar()
            found = found or db.execute(by_rank).scalar()
            return _claim(db, j.c.id == found, worker, until, at) if found else None

    def extend_lease(self, job_id: str, token: str, until: float) -> bool:
        """See Ledger.extend_lease."""
        j = t.job
        with self._engine.begin() as db:
            ours = (j.c.id == job_id) & (j.c.token == token) & (j.c.state == State.CLAIMED)
            return bool(db.execute(update(j).where(ours).values(lease_until=until)).rowcount)

    def set_priority(self, job: Job, priority: Priority, at: float, station: str = "operator", why: str = "") -> None:
        """See Ledger.set_priority."""
        j = t.job
        with self._engine.begin() as db:
            waiting = (j.c.id == job.id) & (j.c.state == State.QUEUED)
            if not db.execute(update(j).where(waiting).values(priority=priority)).rowcount:
                raise LostLease(f"job {job.id} no longer waits: its priority changes nothing")
            text = f"priority {job.priority} -> {priority}" + (f": {why}" if why else "")
            remember(db, job.id, at, State.QUEUED, station, text, {})

    def find_overdue(self, now: float, rung_before: float) -> tuple[list[Job], list[Job]]:
        """See Ledger.find_overdue."""
        j = t.job
        lost = select(j).where((j.c.state == State.CLAIMED) & (j.c.lease_until < now))
        unheard = select(j).where(_is_free(now) & (j.c.rung_at < rung_before)).order_by(j.c.created_at)
        with self._reader.connect() as db:
            return [to_job(row) for row in db.execute(lost)], [to_job(row) for row in db.execute(unheard)]

    def count_free(self, now: float) -> dict[str, int]:
        """See Ledger.count_free."""
        j = t.job
        with self._reader.connect() as db:
            rows = db.execute(select(j.c.lane, func.count()).where(_is_free(now)).group_by(j.c.lane))
            return {lane: int(count) for lane, count in rows}

    def mark_rung(self, job_ids: Sequence[str], at: float) -> None:
        """See Ledger.mark_rung."""
        with self._engine.begin() as db:
            db.execute(update(t.job).where(t.job.c.id.in_(fill_up(job_ids))).values(rung_at=at))


def _is_free(now: float) -> ColumnElement[bool]:
    """True for rows of jobs that a worker may claim at `now`."""
    j = t.job
    return (j.c.state == State.QUEUED) & is_ready(j, now) & is_unblocked(j) & is_open(j, now)


def _claim(db: Connection, which: ColumnElement[bool], worker: str, until: float, at: float) -> Job | None:
    j = t.job
    token = uuid4().hex
    values = {"state": State.CLAIMED, "token": token, "lease_until": until, "attempt": j.c.attempt + 1}
    if not db.execute(update(j).where(which & _is_free(at)).values(values)).rowcount:
        return None
    job = get_job(db, db.execute(select(j.c.id).where(j.c.token == token)).scalar_one())
    text = f"attempt {job.attempt} by {worker}"
    remember(db, job.id, at, State.CLAIMED, "claim", text, {"queue": at - job.created_at})
    return job
