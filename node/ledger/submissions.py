"""Studies submitted by uid, as rows, and the jobs that they get; see Submitted."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Engine, Row, insert, select, update

from node.ledger import tables as t
from node.ledger.gathering import GATHERED, UNDER_WAY
from node.ledger.jobs import remember
from node.ledger.versions import supersede
from node.model.job import Job
from node.model.study import Study, StudyState
from node.model.submission import Submission, SubmissionState


class SubmissionLedger:
    """The verbs of `Ledger` that speak of submissions, each one transaction."""

    _engine: Engine
    _reader: Engine

    def submit(self, submission: Submission, *, again: bool = False) -> tuple[Submission, bool]:
        """See Submitted.submit."""
        s = t.submission
        row = {column.name: getattr(submission, column.name) for column in s.columns} | {"jobs": list(submission.jobs)}
        with self._engine.begin() as db:
            held = db.execute(select(s).where(s.c.id == submission.id)).first()
            if held is None:
                db.execute(insert(s).values(row))
                return submission, True
            over = held.state == SubmissionState.REFUSED or (again and held.state == SubmissionState.MADE)
            if over:
                db.execute(update(s).where(s.c.id == submission.id).values(row))
            return (submission if over else _read(held)), over

    def find_submission(self, submission_id: str) -> Submission | None:
        """See Submitted.find_submission."""
        with self._reader.connect() as db:
            row = db.execute(select(t.submission).where(t.submission.c.id == submission_id)).first()
            return _read(row) if row else None

    def find_submissions(self, study_uid: str = "", due: float | None = None) -> list[Submission]:
        """See Submitted.find_submissions."""
        s = t.submission
        query = select(s).order_by(s.c.asked_at.desc() if due is None else s.c.asked_at)
        if study_uid:
            query = query.where(s.c.study_uid == study_uid)
        if due is not None:
            query = query.where(s.c.state.in_(UNDER_WAY) & (s.c.next_at <= due))
        with self._reader.connect() as db:
            return [_read(row) for row in db.execute(query)]

    def move_submission(
        self, submission: Submission, to: SubmissionState, answer: str, next_at: float, jobs: Sequence[str] = ()
    ) -> bool:
        """See Submitted.move_submission."""
        s = t.submission
        values = {"state": to, "answer": answer, "next_at": next_at, "jobs": list(jobs)}
        with self._engine.begin() as db:
            as_read = (s.c.id == submission.id) & (s.c.state == submission.state)
            return bool(db.execute(update(s).where(as_read).values(values)).rowcount)

    def add_jobs(self, study: Study, jobs: Sequence[Job], at: float, evidence: str) -> bool:
        """See Submitted.add_jobs."""
        s, j = t.study, t.job
        with self._engine.begin() as db:
            as_read = (s.c.study_uid == study.study_uid) & (s.c.state == StudyState.COMPLETE)
            as_read &= (s.c.version == study.version) & (s.c.closed_at == study.closed_at)
            values = {"reason": ""} | ({"evidence": evidence} if study.reason == GATHERED else {})
            if not db.execute(update(s).where(as_read).values(values)).rowcount:
                return False
            held = set(db.execute(select(j.c.id).where(j.c.study_uid == study.study_uid)).scalars())
            fresh = [job for job in jobs if job.id not in held]
            supersede(db, study, fresh, at)
            for job in fresh:
                row = {c.name: getattr(job, c.name) for c in j.columns if c.name != "rung_at"}
                db.execute(insert(j).values(row | {"rung_at": 0.0}))
                remember(db, job.id, at, job.state, "submit", evidence, {})
            return True


def _read(row: Row[Any]) -> Submission:
    return Submission(**dict(row._mapping) | {"state": SubmissionState(row.state), "jobs": tuple(row.jobs)})
