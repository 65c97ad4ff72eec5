"""What waits, waits as long as it was to wait, whatever somebody does to the clock: its times move with it.

Rows hold times of the wall clock, since several processes write them and people read them. When that clock is set, the
times of what has not ended are moved by as much; what has ended keeps the time that it was given.

A row that was written between the moment in which the clock was set and this one has the new time already. It is known
by that: after a step forward no older row comes near to now, after one back only older ones lie beyond it. And a row
may be written with the old time a moment later, by somebody who had looked at the clock before: see `settle_waits`.
"""

from collections.abc import Callable
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, Engine, Table, and_, case, exists, func, or_, select, true, update

from node.ledger import tables as t
from node.ledger.gathering import NEVER, UNDER_WAY
from node.model.delivery import DeliveryState
from node.model.job import Gathering, State
from node.model.message import MessageState
from node.model.study import StudyState
from node.model.webhook import NoticeState

MOMENT = 2.0
"""Seconds in which a step of the clock is noticed for certain."""


class Wait(NamedTuple):
    """Rows of `table` that wait. since: columns with a time that has passed, from which a wait counts; until: with one
    at which it ends; both: such that end as long after the first of `since` as they did."""

    table: Table
    rows: ColumnElement[bool]
    since: tuple[str, ...]
    until: tuple[str, ...] = ()
    both: tuple[str, ...] = ()


def _find_waits() -> list[Wait]:
    receiving = select(t.study.c.study_uid).where(t.study.c.state == StudyState.RECEIVING)
    asked = select(t.asking.c.study_uid)
    link, asking = t.association_study, select(t.job.c.id).where(t.job.c.gathering == Gathering.ASKING)
    brought = exists().where(
        (link.c.association_id == t.association.c.id) & (link.c.study_uid.in_(receiving) | link.c.study_uid.in_(asked))
    )
    unsettled = t.delivery.c.state.in_([DeliveryState.PENDING, DeliveryState.SENT])
    untold = t.message.c.state.in_([MessageState.PENDING, MessageState.WAITING])
    return [
        Wait(t.association, t.association.c.ended_at.is_(None) | brought, ("opened_at", "ended_at")),
        Wait(t.study, t.study.c.state == StudyState.RECEIVING, ("first_at", "last_at")),
        Wait(t.expectation, t.expectation.c.study_uid.in_(receiving), ("at", "mark"), ("next_at",)),
        Wait(t.asking, true(), ("asked_at",), both=("until",)),
        Wait(t.history, t.history.c.job_id.in_(asking), ("at",)),
        Wait(t.job, t.job.c.state == State.QUEUED, ("created_at", "rung_at"), both=("ready_at",)),
        Wait(t.delivery, unsettled, ("made_at", "asked_at"), ("next_at",)),
        Wait(t.notice, true(), ("made_at",), ("next_at",)),
        Wait(t.commitment, true(), ("asked_at",), ("next_at",)),
        Wait(t.circuit, t.circuit.c.opened_at > 0.0, ("opened_at",), ("next_at",)),
        Wait(t.message, untold, ("made_at",), ("next_at",)),
        Wait(t.hook, true(), (), ("next_at",)),
        Wait(t.hook_notice, t.hook_notice.c.state == NoticeState.PENDING, ("since",), ("next_at",)),
        Wait(t.submission, t.submission.c.state.in_(UNDER_WAY), ("asked_at",), ("next_at",)),
    ]


WAITS = _find_waits()
BEGAN = ("study", "job", "delivery", "notice", "commitment", "message", "submission")
"""Tables whose first `since` says when what waits began: never later than now."""


class WaitLedger:
    """The part of `SqlLedger` that moves times."""

    _engine: Engine
    _reader: Engine

    def move_waits(self, by: float, clock: Callable[[], float], lease: float) -> None:
        """See Ledger.move_waits."""
        with self._engine.begin() as db:
            now = clock()  # while nobody else can write
            for wait in WAITS:
                _move(db, wait, by, now)
            claimed = t.job.c.state == State.CLAIMED
            db.execute(update(t.job).where(claimed).values(lease_until=now + lease))

    def settle_waits(self, by: float, clock: Callable[[], float], longest: float) -> None:
        """See Ledger.settle_waits."""
        with self._reader.connect() as db:
            now = clock()
            late = (select(exists().where(wait.rows & or_(*_find_late(wait, now, longest).values()))) for wait in WAITS)
            if not any(db.execute(query).scalar() for query in late):
                return
        with self._engine.begin() as db:
            now = clock()
            for wait in WAITS:
                _pull(db, wait, by, _find_late(wait, now, longest))

    def find_newest_wait(self) -> float:
        """See Ledger.find_newest_wait."""
        with self._reader.connect() as db:
            begun = (
                select(func.max(wait.table.c[wait.since[0]])).where(wait.rows)
                for wait in WAITS
                if wait.table.name in BEGAN
            )
            return max((db.execute(query).scalar() or 0.0 for query in begun), default=0.0)


def _move(db: Connection, wait: Wait, by: float, now: float) -> None:
    columns = wait.table.c
    moves = {name: _is_older(columns[name], by, now) for name in wait.since}
    for name in wait.both:
        moves[name] = _is_older(columns[wait.since[0]], by, now) & (columns[name] > 0.0) & (columns[name] < NEVER)
    if by < 0:  # after a step forward it ends early, which is a try too many
        moves |= {name: columns[name] > now for name in wait.until}
    if moves:
        values = {name: case((moved, columns[name] + by), else_=columns[name]) for name, moved in moves.items()}
        db.execute(update(wait.table).where(wait.rows).values(values))


def _pull(db: Connection, wait: Wait, by: float, late: dict[str, ColumnElement[bool]]) -> None:
    columns = wait.table.c
    values = {name: case((moved, columns[name] + by), else_=columns[name]) for name, moved in late.items()}
    db.execute(update(wait.table).where(wait.rows & or_(*late.values())).values(values))


def _find_late(wait: Wait, now: float, longest: float) -> dict[str, ColumnElement[bool]]:
    """Column -> where it has a time that nobody would write now: a passed one that is to come, or an end that lies more
    than `longest` seconds ahead. `both` ends a wait that somebody was promised, and is left alone where that is all."""
    columns, first = wait.table.c, wait.since[:1]
    late = {name: columns[name] > now for name in wait.since}
    late |= {name: (columns[name] > now + longest) & (columns[name] < NEVER) for name in wait.until}
    return late | {name: (columns[name] < NEVER) & and_(*(columns[one] > now for one in first)) for name in wait.both}


def _is_older(column: ColumnElement[float], by: float, now: float) -> ColumnElement[bool]:
    """It was written before the clock was set. 0 is no time."""
    older = column <= now - by / 2 if by > 0 else or_(column > now, column < now - MOMENT)
    return and_(column > 0.0, older)
