"""Webhooks as rows. What is to be told is read from the history by a cursor, so that nobody has to remember to tell it:
a process that dies right after it moved a job has told everybody already.

The history is written by one transaction at a time (BEGIN IMMEDIATE), so its numbers come in the order of commits: what
the cursor has passed never fills up behind it.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, Row, case, delete, func, insert, select, update

from node.ledger import tables as t
from node.model.job import State
from node.model.webhook import Hook, Notice, NoticeState, Told

UNFORESEEN = "unforeseen"
"""How the history begins to speak of a bug."""


class HookLedger:
    """The part of `SqlLedger` that webhooks use."""

    _engine: Engine
    _reader: Engine

    def open_hook(self, name: str) -> Hook:
        """See Hooks.open_hook."""
        h = t.hook
        with self._reader.connect() as db:
            row = db.execute(select(h).where(h.c.name == name)).first()
        if row is not None:
            return Hook(**row._mapping)
        with self._engine.begin() as db:
            row = db.execute(select(h).where(h.c.name == name)).first()
            if row is None:
                last = db.execute(select(func.coalesce(func.max(t.history.c.id), 0))).scalar_one()
                db.execute(insert(h).values(asdict(Hook(name, int(last)))))
                return Hook(name, int(last))
            return Hook(**row._mapping)

    def find_hooks(self) -> dict[str, Hook]:
        """See Hooks.find_hooks."""
        with self._reader.connect() as db:
            return {row.name: Hook(**row._mapping) for row in db.execute(select(t.hook).order_by(t.hook.c.name))}

    def draw_notices(self, hook: Hook, wants: Callable[[Notice], bool], at: float, limit: int) -> int:
        """See Hooks.draw_notices. A node at rest writes nothing."""
        h = t.hook
        with self._reader.connect() as db:
            rows = _read_lines(db, hook.after, limit)
        if not rows:
            return 0
        wanted = [notice for notice in (_to_notice(hook.name, row, at) for row in rows) if wants(notice)]
        with self._engine.begin() as db:
            as_read = (h.c.name == hook.name) & (h.c.after == hook.after)
            if not db.execute(update(h).where(as_read).values(after=rows[-1].number)).rowcount:
                return 0
            if wanted:
                db.execute(insert(t.hook_notice), [asdict(notice) for notice in wanted])
            return len(rows)

    def find_notices_due(self, name: str, at: float, limit: int) -> list[Notice]:
        """See Hooks.find_notices_due."""
        n = t.hook_notice
        waiting = (n.c.hook == name) & (n.c.state == NoticeState.PENDING)
        first = select(func.min(n.c.number)).where(waiting).group_by(n.c.job_id)
        query = select(n).where(waiting & n.c.number.in_(first) & (n.c.next_at <= at))
        with self._reader.connect() as db:
            return [_read(row) for row in db.execute(query.order_by(n.c.number).limit(limit))]

    def move_notice(self, notice: Notice, to: NoticeState, answer: str, next_at: float) -> bool:
        """See Hooks.move_notice."""
        n = t.hook_notice
        as_read = (n.c.hook == notice.hook) & (n.c.number == notice.number) & (n.c.state == notice.state)
        values = {"state": to, "answer": answer, "next_at": next_at, "attempts": n.c.attempts + 1}
        with self._engine.begin() as db:
            return bool(db.execute(update(n).where(as_read).values(values)).rowcount)

    def revive_notices(self, name: str, at: float) -> int:
        """See Hooks.revive_notices."""
        n = t.hook_notice
        dead = (n.c.hook == name) & (n.c.state == NoticeState.DEAD)
        values = {"state": NoticeState.PENDING, "since": at, "next_at": at, "attempts": 0}
        with self._engine.begin() as db:
            return db.execute(update(n).where(dead).values(values)).rowcount

    def reach_hook(self, name: str, at: float, answer: str) -> None:
        """See Hooks.reach_hook."""
        self._put(name, failures=0, next_at=0.0, heard_at=at, answer=answer)

    def miss_hook(self, name: str, answer: str, next_at: float) -> None:
        """See Hooks.miss_hook."""
        self._put(name, failures=t.hook.c.failures + 1, next_at=next_at, answer=answer)

    def pause_hook(self, name: str, at: float, answer: str) -> None:
        """See Hooks.pause_hook."""
        self._put(name, paused_at=at, heard_at=at, failures=0, next_at=0.0, answer=answer)

    def resume_hook(self, name: str, at: float) -> bool:
        """See Hooks.resume_hook. What waits is as if it waited from now on: the pause is not its fault."""
        n = t.hook_notice
        if not self._put(name, paused_at=0.0, failures=0, next_at=at):
            return False
        waiting = (n.c.hook == name) & (n.c.state == NoticeState.PENDING)
        with self._engine.begin() as db:
            db.execute(update(n).where(waiting).values(since=at, next_at=at))
        return True

    def count_notices(self) -> dict[str, Told]:
        """See Hooks.count_notices."""
        n = t.hook_notice
        counts = [func.sum(case((n.c.state == state, 1), else_=0)).label(state.lower()) for state in NoticeState]
        oldest = func.min(case((n.c.state == NoticeState.PENDING, n.c.at))).label("oldest_at")
        query = select(n.c.hook, *counts, oldest).group_by(n.c.hook)
        with self._reader.connect() as db:
            return {r.hook: Told(int(r.pending), int(r.sent), int(r.dead), r.oldest_at) for r in db.execute(query)}

    def find_dead(self, name: str, limit: int) -> list[Notice]:
        """See Hooks.find_dead."""
        n = t.hook_notice
        query = select(n).where((n.c.hook == name) & (n.c.state == NoticeState.DEAD)).order_by(n.c.number.desc())
        with self._reader.connect() as db:
            return [_read(row) for row in db.execute(query.limit(limit))]

    def forget_notices(self, before: float) -> int:
        """See Hooks.forget_notices."""
        n = t.hook_notice
        with self._engine.begin() as db:
            return db.execute(delete(n).where((n.c.state != NoticeState.PENDING) & (n.c.since < before))).rowcount

    def _put(self, name: str, **values: Any) -> bool:
        with self._engine.begin() as db:
            return bool(db.execute(update(t.hook).where(t.hook.c.name == name).values(values)).rowcount)


def _read_lines(db: Connection, after: int, limit: int) -> list[Row[Any]]:
    """Lines of the history with their jobs. before: the state that the job's line before says, None for the first."""
    h, j, earlier = t.history, t.job, t.history.alias()
    before = (
        select(earlier.c.state)
        .where((earlier.c.job_id == h.c.job_id) & (earlier.c.id < h.c.id))
        .order_by(earlier.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    columns = (h.c.id.label("number"), h.c.job_id, h.c.at, h.c.state, h.c.station, h.c.text, before.label("before"))
    of_job = (j.c.study_uid, j.c.route, j.c.pipeline, j.c.version)
    query = select(*columns, *of_job).join(j, j.c.id == h.c.job_id).where(h.c.id > after).order_by(h.c.id)
    return list(db.execute(query.limit(limit)))


def _to_notice(hook: str, row: Row[Any], now: float) -> Notice:
    return Notice(
        hook=hook,
        number=row.number,
        job_id=row.job_id,
        kind="note" if row.before == row.state else "state",
        job_state=State(row.state),
        station=row.station,
        code=find_code(row.text),
        study_uid=row.study_uid,
        route=row.route,
        pipeline=row.pipeline,
        version=row.version,
        at=row.at,
        state=NoticeState.PENDING,
        attempts=0,
        since=now,
        next_at=now,
        answer="",
    )


def find_code(text: str) -> str:
    """The name of the error with which a line begins ("TooFewSlices: 2 planes"), "" where it begins with none: what is
    said beyond it may be long, and stays here."""
    if text.startswith(f"{UNFORESEEN} "):
        return UNFORESEEN
    name, colon, _ = text.partition(":")
    return name if colon and name.isidentifier() and name[0].isupper() and len(name) <= 40 else ""


def _read(row: Row[Any]) -> Notice:
    states = {"job_state": State(row.job_state), "state": NoticeState(row.state)}
    return Notice(**dict(row._mapping) | states)
