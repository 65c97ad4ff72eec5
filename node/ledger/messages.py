"""Messages as rows, and the verbs of the ledger on them, each one transaction."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, Select, func, insert, select, update

from node.ledger import tables as t
from node.ledger.chunks import fill_up
from node.ledger.jobs import remember
from node.model.job import FINAL, Job, State
from node.model.message import Message, MessageState, Subject

ENDS = frozenset({State.DELIVERED, State.CONFIRMED, State.FAILED})
"""States with which a job may have something to tell."""


TELL = "tell"
"""The station of lines that say what was told."""


class MessageLedger:
    """The part of `SqlLedger` that knows who is told what."""

    _engine: Engine
    _reader: Engine

    def find_messages(self, job_id: str) -> list[Message]:
        """See Ledger.find_messages."""
        m = t.message
        return self._select(select(m).where(m.c.job_id == job_id).order_by(m.c.destination, m.c.subject))

    def find_messages_due(self, destination: str, at: float, limit: int) -> list[Message]:
        """See Ledger.find_messages_due."""
        m = t.message
        due = (m.c.destination == destination) & (m.c.state == MessageState.PENDING) & (m.c.next_at <= at)
        return self._select(select(m).where(due).order_by(m.c.next_at, m.c.made_at, m.c.subject).limit(limit))

    def find_untold(self, destination: str, states: Sequence[State], limit: int) -> list[Message]:
        """See Ledger.find_untold."""
        m, j = t.message, t.job
        untold = (m.c.destination == destination) & (m.c.state == MessageState.WAITING) & j.c.state.in_(states)
        query = select(m).join(j, j.c.id == m.c.job_id).where(untold & (m.c.subject == Subject.RESULT))
        return self._select(query.order_by(m.c.made_at).limit(limit))

    def draw_tasks(self, destination: str, at: float, limit: int) -> int:
        """See Ledger.draw_tasks. Lines that say what was told are passed over; a node at rest writes nothing."""
        m, h = t.task_teller, t.history
        with self._reader.connect() as db:
            after = db.execute(select(m.c.after).where(m.c.destination == destination)).scalar()
            query = select(h.c.id, h.c.job_id, h.c.station).where(h.c.id > (after or 0)).order_by(h.c.id)
            lines = db.execute(query.limit(limit)).all() if after is not None else []
        if after is not None and not lines:
            return 0
        with self._engine.begin() as db:
            if after is None:
                newest = db.execute(select(func.coalesce(func.max(h.c.id), 0))).scalar_one()
                ids = set(db.execute(select(t.job.c.id).where(t.job.c.state.not_in(FINAL))).scalars())
                db.execute(insert(m).values(destination=destination, after=newest))
            else:
                ids = {line.job_id for line in lines if line.station != TELL}
                db.execute(update(m).where(m.c.destination == destination).values(after=lines[-1].id))
            for row in db.execute(select(t.job.c.id, t.job.c.tell).where(t.job.c.id.in_(fill_up(ids)))).all():
                if destination in row.tell:
                    _wait(db, Message(destination, row.id, Subject.TASK, MessageState.WAITING, 0, 0.0, at))
            return len(lines)

    def find_untold_tasks(self, destination: str, limit: int) -> list[Message]:
        """See Ledger.find_untold_tasks."""
        m, j = t.message, t.job
        untold = (m.c.destination == destination) & (m.c.state == MessageState.WAITING)
        query = select(m).join(j, j.c.id == m.c.job_id).where(untold & (m.c.subject == Subject.TASK))
        return self._select(query.order_by(m.c.made_at).limit(limit))

    def open_messages(self, waiting: Message, opened: Sequence[Message], at: float) -> bool:
        """See Ledger.open_messages."""
        m = t.message
        with self._engine.begin() as db:
            if not db.execute(select(m).where(_is(waiting))).first():
                return False
            for message in opened:
                _put(db, message)
                if message.state == MessageState.REFUSED:
                    _remember(db, message, at, message.answer)
            return True

    def move_message(self, message: Message, to: MessageState, answer: str, next_at: float, at: float) -> bool:
        """See Ledger.move_message."""
        values: dict[str, Any] = {"state": to, "answer": answer, "next_at": next_at}
        if to != MessageState.WAITING:
            values |= {"attempts": message.attempts + 1}
        if to == MessageState.SENT:
            values |= {"told": message.control_id}
        with self._engine.begin() as db:
            if not db.execute(update(t.message).where(_is(message)).values(values)).rowcount:
                return False
            if to in {MessageState.SENT, MessageState.REFUSED}:
                _remember(db, message, at, answer)
            return True

    def _select(self, query: Select[Any]) -> list[Message]:
        with self._reader.connect() as db:
            return [_to_message(row) for row in db.execute(query)]


def announce(db: Connection, job: Job, to: State, at: float) -> None:
    """`job` came to an end that its receivers may be told: each has a message that waits. What is PENDING stays so;
    what was told before is looked at again, for it may have been of an earlier try."""
    if to not in ENDS:
        return
    for destination in job.tell:
        _wait(db, Message(destination, job.id, Subject.RESULT, MessageState.WAITING, 0, 0.0, at))


def _wait(db: Connection, message: Message) -> None:
    """A message that waits, new or again; one that is PENDING stays so."""
    m = t.message
    row = db.execute(select(m).where(_has_key(message))).first()
    if row is None:
        db.execute(insert(m).values(asdict(message)))
    elif row.state != MessageState.PENDING:
        again = {"state": MessageState.WAITING, "attempts": 0, "next_at": 0.0, "made_at": message.made_at}
        db.execute(update(m).where(_has_key(message)).values(again))


def _put(db: Connection, message: Message) -> None:
    values = asdict(message)
    if not db.execute(update(t.message).where(_has_key(message)).values(values)).rowcount:
        db.execute(insert(t.message).values(values))


def _remember(db: Connection, message: Message, at: float, answer: str) -> None:
    state = db.execute(select(t.job.c.state).where(t.job.c.id == message.job_id)).scalar()
    if state is not None:
        text = f"{message.destination}, {message.subject}: {answer}"
        remember(db, message.job_id, at, State(state), TELL, text, {})


def _has_key(message: Message) -> ColumnElement[bool]:
    m = t.message
    return (
        (m.c.destination == message.destination)
        & (m.c.job_id == message.job_id)
        & (m.c.subject == message.subject)
    )  # fmt: skip


def _is(message: Message) -> ColumnElement[bool]:
    """True for the row of `message` as it was read."""
    m = t.message
    as_read = (m.c.state == message.state) & (m.c.control_id == message.control_id)
    return _has_key(message) & as_read & (m.c.attempts == message.attempts)


def _to_message(row: Row[Any]) -> Message:
    values = {column.name: getattr(row, column.name) for column in t.message.columns}
    return Message(**values | {"subject": Subject(row.subject), "state": MessageState(row.state)})
