"""What is fetched before a job may run: jobs that wait for it, and studies that we asked for and that open no jobs.

A request is written here before it leaves, so that its answer, which may come by C-MOVE to another process, is never
taken for a study that somebody sent. Nothing here names a patient.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, case, delete, exists, func, insert, select, update

from node.ledger import tables as t
from node.ledger.jobs import remember
from node.ledger.studies import to_study
from node.model.job import FINAL, Gathering, Job, State
from node.model.study import Study, StudyState
from node.model.submission import SubmissionState

GATHERED = "gathered as a prior: it opens no jobs of its own"
"""Why such a study has none, in study.reason."""

UNDER_WAY = (SubmissionState.ASKED, SubmissionState.FETCHED)

SUBMITTED = "submitted: no route but the one that was named was asked"
"""Evidence of a study that was fetched for one route alone."""

NEVER = 253_402_300_800.0
"""The year 10000: until then a job that requires a prior waits for whoever gathers."""


def is_ready(job: Table, now: float) -> ColumnElement[bool]:
    """True for rows of `job` that wait for nothing that is being fetched, or waited long enough."""
    return (job.c.gathering != Gathering.ASKING) | (job.c.ready_at <= now)


def is_prior_in_use(study: Table) -> ColumnElement[bool]:
    """True for rows of `study` that an unfinished job asked for, or that are fetched to be read: retention leaves them
    alone."""
    a, j, s = t.asking, t.job.alias(), t.submission
    asked = (a.c.study_uid == study.c.study_uid) & (j.c.id == a.c.job_id) & j.c.state.not_in(list(FINAL))
    fetched = (s.c.study_uid == study.c.study_uid) & s.c.state.in_(UNDER_WAY)
    return exists().where(asked) | exists().where(fetched)


class GatheringLedger:
    """The part of `SqlLedger` that gathering uses."""

    _engine: Engine
    _reader: Engine

    def find_study(self, study_uid: str) -> Study | None:
        """The study with this uid."""
        with self._reader.connect() as db:
            row = db.execute(select(t.study).where(t.study.c.study_uid == study_uid)).first()
            return to_study(row) if row else None

    def find_waiting(self) -> list[tuple[str, str, float]]:
        """(job id, study uid, since when) of all jobs that wait for what is gathered, oldest first."""
        j, h = t.job, t.history
        since = select(func.max(h.c.at)).where(h.c.job_id == j.c.id).scalar_subquery()
        waiting = (j.c.state == State.QUEUED) & (j.c.gathering == Gathering.ASKING)
        query = select(j.c.id, j.c.study_uid, since.label("since")).where(waiting).order_by(j.c.created_at)
        with self._reader.connect() as db:
            return [(row.id, row.study_uid, float(row.since or 0.0)) for row in db.execute(query)]

    def settle_gathering(
        self, job: Job, to: Gathering, priors: Sequence[str], notes: Sequence[str], at: float, seconds: float
    ) -> bool:
        """The job may run, with these priors and with `notes` added to its own. False when it waits no more."""
        j = t.job
        values = {"gathering": to, "priors": list(priors), "notes": [*job.notes, *notes], "rung_at": 0.0}
        with self._engine.begin() as db:
            waiting = (j.c.id == job.id) & (j.c.state == State.QUEUED) & (j.c.gathering == Gathering.ASKING)
            if not db.execute(update(j).where(waiting).values(values)).rowcount:
                return False
            remember(db, job.id, at, State.QUEUED, "gather", "; ".join(notes), {"gather": seconds})
            return True

    def add_asking(self, study_uid: str, job_id: str, caller: str, at: float, until: float) -> None:
        """Images of this study that `caller` (an AE title) brings between `at` and `until` were asked for by the job.
        Where another job is asking for it already, its window is this one's too."""
        a = t.asking
        with self._engine.begin() as db:
            open_window = (a.c.study_uid == study_uid) & (a.c.until >= at)
            began = db.execute(select(func.min(a.c.asked_at)).where(open_window)).scalar()
            db.execute(delete(a).where((a.c.study_uid == study_uid) & (a.c.job_id == job_id)))
            values = {"study_uid": study_uid, "job_id": job_id, "caller": caller, "until": until}
            db.execute(insert(a).values(values | {"asked_at": at if began is None else min(at, began)}))

    def end_asking(self, study_uid: str, job_id: str, at: float) -> None:
        """The peer said that it sent all that it will send."""
        a = t.asking
        with self._engine.begin() as db:
            db.execute(update(a).where((a.c.study_uid == study_uid) & (a.c.job_id == job_id)).values(until=at))

    def find_askings(self, study_uid: str) -> list[tuple[str, float, float]]:
        """(caller, from, until) of what was asked for of this study."""
        a = t.asking
        query = select(a.c.caller, a.c.asked_at, a.c.until).where(a.c.study_uid == study_uid)
        with self._reader.connect() as db:
            return [(row.caller, row.asked_at, row.until) for row in db.execute(query)]

    def reopen_sent(self) -> list[str]:
        """Studies that were gathered and that an association brought again outside of what was asked for are RECEIVING
        again, to be judged as any other; returns their uids."""
        s = t.study
        with self._reader.connect() as db:
            uids = _find_sent(db)
        values = {"state": StudyState.RECEIVING, "closed_at": None, "reason": ""}
        for uid in uids:
            with self._engine.begin() as db:
                db.execute(update(s).where((s.c.study_uid == uid) & _is_fetched()).values(values))
        return uids


def ask_again(job: Table, at: float) -> dict[str, ColumnElement[Any]]:
    """Columns of a FAILED job that is queued again at `at`: what it missed is asked for again, for as long as it would
    have been when it was made."""
    missing = job.c.gathering == Gathering.MISSING
    limited = missing & (job.c.ready_at < NEVER)
    return {
        "gathering": case((missing, Gathering.ASKING.value), else_=job.c.gathering),
        "ready_at": case((limited, at + job.c.ready_at - job.c.created_at), else_=job.c.ready_at),
    }


def _is_fetched() -> ColumnElement[bool]:
    return (t.study.c.reason == GATHERED) | (t.study.c.evidence == SUBMITTED)


def _find_sent(db: Connection) -> list[str]:
    s, a, link, came = t.study, t.asking, t.association_study, t.association
    gathered = (s.c.state == StudyState.COMPLETE) & _is_fetched()
    window = (a.c.study_uid == s.c.study_uid) & (came.c.opened_at <= a.c.until)
    window &= came.c.ended_at.is_(None) | (came.c.ended_at >= a.c.asked_at)
    # Where it was forgotten with the images that it was asked for, whoever brings them now sends.
    last = func.coalesce(select(func.max(a.c.asked_at)).where(a.c.study_uid == s.c.study_uid).scalar_subquery(), 0.0)
    outside = (link.c.study_uid == s.c.study_uid) & (link.c.association_id == came.c.id)
    outside &= (came.c.opened_at > last) & ~exists().where(window)
    return list(db.execute(select(s.c.study_uid).where(gathered & exists().where(outside))).scalars())
