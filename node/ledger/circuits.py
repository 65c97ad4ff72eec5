"""Circuits, and what waits behind them, as rows, and the verbs of the ledger on them, each one transaction."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, case, func, insert, select, update

from node.ledger import tables as t
from node.model.circuit import Backlog, Circuit
from node.model.delivery import DeliveryState


class CircuitLedger:
    """The part of `SqlLedger` that knows which destinations can be reached."""

    _engine: Engine
    _reader: Engine

    def find_circuits(self) -> dict[str, Circuit]:
        with self._reader.connect() as db:
            return find_circuits(db)

    def fail_circuit(
        self, peer: str, at: float, answer: str, open_after: int, find_pause: Callable[[int], float]
    ) -> Circuit:
        with self._engine.begin() as db:
            return fail_circuit(db, peer, at, answer, open_after, find_pause)

    def close_circuit(self, peer: str, at: float, answer: str) -> Circuit:
        with self._engine.begin() as db:
            return close_circuit(db, peer, at, answer)

    def claim_try(self, peer: str, at: float, until: float) -> bool:
        with self._engine.begin() as db:
            return claim_try(db, peer, at, until)

    def hurry_circuit(self, peer: str, at: float) -> None:
        with self._engine.begin() as db:
            hurry_circuit(db, peer, at)

    def find_backlogs(self) -> dict[str, Backlog]:
        with self._reader.connect() as db:
            return find_backlogs(db)

    def find_last_calls(self) -> dict[str, float]:
        with self._reader.connect() as db:
            return find_last_calls(db)


def find_circuits(db: Connection) -> dict[str, Circuit]:
    """See Ledger.find_circuits."""
    return {row.peer: Circuit(**row._mapping) for row in db.execute(select(t.circuit))}


def fail_circuit(
    db: Connection, peer: str, at: float, answer: str, open_after: int, find_pause: Callable[[int], float]
) -> Circuit:
    """See Ledger.fail_circuit."""
    before = _get(db, peer)
    failures = before.failures + 1
    opens = before.is_open or failures >= open_after
    values: dict[str, Any] = {"failures": failures, "answer": answer}
    if opens:
        values |= {"opened_at": before.opened_at or at, "next_at": at + find_pause(failures)}
    return _put(db, peer, values)


def close_circuit(db: Connection, peer: str, at: float, answer: str) -> Circuit:
    """See Ledger.close_circuit."""
    values = {"failures": 0, "opened_at": 0.0, "next_at": 0.0, "heard_at": at, "answer": answer}
    return _put(db, peer, values)


def claim_try(db: Connection, peer: str, at: float, until: float) -> bool:
    """See Ledger.claim_try."""
    c = t.circuit
    due = (c.c.peer == peer) & ((c.c.opened_at == 0.0) | (c.c.next_at <= at))
    known = db.execute(update(c).where(due).values(next_at=case((c.c.opened_at > 0.0, until), else_=0.0))).rowcount
    return bool(known) or db.execute(select(c.c.peer).where(c.c.peer == peer)).first() is None


def hurry_circuit(db: Connection, peer: str, at: float) -> None:
    """See Ledger.hurry_circuit."""
    c = t.circuit
    db.execute(update(c).where((c.c.peer == peer) & (c.c.opened_at > 0.0)).values(next_at=at))


def find_backlogs(db: Connection) -> dict[str, Backlog]:
    """See Ledger.find_backlogs."""
    d = t.delivery
    waiting = func.sum(case((d.c.state == DeliveryState.PENDING, 1), else_=0))
    query = select(
        d.c.destination, waiting.label("waiting"), func.count().label("all"), func.min(d.c.made_at).label("at")
    )
    query = query.where(d.c.state.in_([DeliveryState.PENDING, DeliveryState.SENT])).group_by(d.c.destination)
    rows = db.execute(query)
    return {row.destination: Backlog(int(row.waiting), row.all - int(row.waiting), row.at) for row in rows}


def find_last_calls(db: Connection) -> dict[str, float]:
    """See Ledger.find_last_calls."""
    a = t.association
    last = func.max(func.coalesce(a.c.ended_at, a.c.opened_at)).label("at")
    return {row.caller: row.at for row in db.execute(select(a.c.caller, last).group_by(a.c.caller))}


def _get(db: Connection, peer: str) -> Circuit:
    row = db.execute(select(t.circuit).where(t.circuit.c.peer == peer)).first()
    return Circuit(**row._mapping) if row else Circuit(peer)


def _put(db: Connection, peer: str, values: dict[str, Any]) -> Circuit:
    c = t.circuit
    if not db.execute(update(c).where(c.c.peer == peer).values(values)).rowcount:
        db.execute(insert(c).values({"peer": peer} | values))
    return _get(db, peer)
