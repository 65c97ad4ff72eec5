"""What became of jobs, in order, and jobs that no study's closing makes. `SqlLedger` has these verbs by inheritance."""

from sqlalchemy import Engine, func, insert, select

from node.ledger import tables as t
from node.ledger.jobs import remember
from node.model.job import Job


class ChangeLedger:
    """The part of `SqlLedger` that the worklist follows."""

    _engine: Engine
    _reader: Engine

    def find_changes(self, after: int, limit: int) -> list[tuple[int, str]]:
        """See Ledger.find_changes."""
        h = t.history
        query = select(h.c.id, h.c.job_id).where(h.c.id > after).order_by(h.c.id).limit(limit)
        with self._reader.connect() as db:
            return [(row.id, row.job_id) for row in db.execute(query)]

    def find_newest_change(self) -> int:
        """See Ledger.find_newest_change."""
        with self._reader.connect() as db:
            return int(db.execute(select(func.max(t.history.c.id))).scalar() or 0)

    def add_job(self, job: Job, station: str, text: str) -> bool:
        """See Ledger.add_job."""
        j = t.job
        row = {c.name: getattr(job, c.name) for c in j.columns if c.name != "rung_at"}
        with self._engine.begin() as db:
            if db.execute(select(j.c.id).where(j.c.id == job.id)).first():
                return False
            db.execute(insert(j).values(row | {"rung_at": 0.0}))
            remember(db, job.id, job.created_at, job.state, station, text, {})
            return True
