"""Who works, and how far the job at hand is: facts that the heartbeat writes and people read. No job depends on them.

A worker that crashes leaves its row: it is shown as gone after three beats, and no more after a day.
"""

from sqlalchemy import Engine, delete, insert, select, update

from node.ledger import tables as t
from node.model.job import State
from node.model.worker import Worker

FORGET = 86400.0
"""Seconds after which a worker that is gone is forgotten."""


class WorkerLedger:
    """The part of `SqlLedger` that the heartbeat writes."""

    _engine: Engine
    _reader: Engine

    def put_worker(self, worker: Worker) -> None:
        """See Hands.put_worker."""
        w = t.worker
        row = {column.name: getattr(worker, column.name) for column in w.columns}
        row |= {"lanes": list(worker.lanes), "models": list(worker.models)}
        with self._engine.begin() as db:
            db.execute(delete(w).where((w.c.name == worker.name) | (w.c.seen_at < worker.seen_at - FORGET)))
            db.execute(insert(w).values(row))

    def remove_worker(self, name: str) -> None:
        """See Hands.remove_worker."""
        with self._engine.begin() as db:
            db.execute(delete(t.worker).where(t.worker.c.name == name))

    def find_workers(self, now: float) -> list[Worker]:
        """See Hands.find_workers."""
        w = t.worker
        query = select(w).where(w.c.seen_at >= now - FORGET).order_by(w.c.started_at, w.c.name)
        with self._reader.connect() as db:
            rows = [dict(row._mapping) for row in db.execute(query)]
        return [Worker(**row | {"lanes": tuple(row["lanes"]), "models": tuple(row["models"])}) for row in rows]

    def note_progress(self, job_id: str, token: str, share: float, activity: str) -> bool:
        """See Hands.note_progress."""
        j = t.job
        with self._engine.begin() as db:
            ours = (j.c.id == job_id) & (j.c.token == token) & (j.c.state == State.CLAIMED)
            return bool(db.execute(update(j).where(ours).values(progress=share, activity=activity)).rowcount)
