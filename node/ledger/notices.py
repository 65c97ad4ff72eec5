"""What peers are still to be told of delivered results: the part of the ledger's port, and its rows."""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection, Engine, delete, insert, select, update

from node.ledger import tables as t
from node.ledger.jobs import remember
from node.model.job import Job, State
from node.model.notice import Notice
from node.model.uid import derive_uid


class Notices(Protocol):
    """Instance availability notifications that are due."""

    def find_notices(self, peer: str, due: float, limit: int) -> list[Notice]:
        """At most `limit` that `peer` is to be sent by `due`; oldest first."""
        ...

    def postpone_notice(self, notice: Notice, next_at: float) -> None:
        """Another try at `next_at`; one more attempt."""
        ...

    def settle_notice(self, notice: Notice, at: float, text: str) -> None:
        """It was sent, or nobody tries any more: `text` is a line of the job's history."""
        ...


class NoticeLedger:
    """The verbs of `Notices`, each one transaction."""

    _engine: Engine
    _reader: Engine

    def find_notices(self, peer: str, due: float, limit: int) -> list[Notice]:
        n = t.notice
        query = select(n).where((n.c.peer == peer) & (n.c.next_at <= due)).order_by(n.c.made_at, n.c.uid).limit(limit)
        with self._reader.connect() as db:
            return [Notice(**row._mapping) for row in db.execute(query)]

    def postpone_notice(self, notice: Notice, next_at: float) -> None:
        n = t.notice
        with self._engine.begin() as db:
            db.execute(update(n).where(n.c.uid == notice.uid).values(next_at=next_at, attempts=n.c.attempts + 1))

    def settle_notice(self, notice: Notice, at: float, text: str) -> None:
        n, j = t.notice, t.job
        with self._engine.begin() as db:
            if db.execute(delete(n).where(n.c.uid == notice.uid)).rowcount:
                state = db.execute(select(j.c.state).where(j.c.id == notice.job_id)).scalar_one()
                remember(db, notice.job_id, at, State(state), "notify", text, {})


def add_notices(db: Connection, job: Job, peers: Sequence[str], at: float) -> None:
    """See Ledger.move_job. The same uid for the same moment; a job that is delivered again is told again."""
    n = t.notice
    for peer in peers if job.deliver else ():
        db.execute(delete(n).where((n.c.job_id == job.id) & (n.c.peer == peer)))
        row = {"uid": derive_uid("notice", job.id, peer, repr(at)), "job_id": job.id, "peer": peer}
        db.execute(insert(n).values(row | {"made_at": at, "next_at": at, "attempts": 0}))
