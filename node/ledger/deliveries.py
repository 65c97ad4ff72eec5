"""Result objects and their deliveries as rows, and the verbs of the ledger on them, each one transaction."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Row, delete, exists, insert, select, update

from node.errors import LostLease
from node.ledger import tables as t
from node.ledger.jobs import remember, to_job
from node.ledger.underway import find_end, keep_arrival
from node.model.delivery import Delivery, DeliveryState, Kind, ResultObject
from node.model.job import Job, State

OBJECT = ("sop_class_uid", "modality", "path", "kind", "substitute", "series_uid", "frame_of_reference_uid")
"""Columns of a result object beside its own uid."""


class DeliveryLedger:
    """The part of `SqlLedger` that knows what is sent where."""

    _engine: Engine
    _reader: Engine

    def find_deliveries(
        self, job_id: str = "", destination: str = "", states: Sequence[DeliveryState] = (), due: float | None = None
    ) -> list[Delivery]:
        d = t.delivery
        query = select_deliveries()
        if job_id:
            query = query.where(d.c.job_id == job_id)
        if destination:
            query = query.where(d.c.destination == destination)
        if states:
            query = query.where(d.c.state.in_(states))
        if due is not None:
            query = query.where(d.c.next_at <= due)
        with self._reader.connect() as db:
            return [to_delivery(row) for row in db.execute(query)]

    def find_due(self, destination: str, at: float, limit: int) -> list[Delivery]:
        d, o = t.delivery, t.result_object
        due = (d.c.destination == destination) & (d.c.state == DeliveryState.PENDING) & (d.c.next_at <= at)
        query = select_deliveries().where(due & ((o.c.substitute == "") | ~_is_held(at)))
        query = query.order_by(None).order_by(d.c.made_at, d.c.job_id, o.c.position).limit(limit)
        with self._reader.connect() as db:
            return [to_delivery(row) for row in db.execute(query)]

    def find_movable(self) -> list[Job]:
        j = t.job
        pending, sent, refused = map(_has, (DeliveryState.PENDING, DeliveryState.SENT, DeliveryState.REFUSED))
        encoded = (j.c.state == State.ENCODED) & ~pending & ~(refused & sent)
        delivered = (j.c.state == State.DELIVERED) & (pending | ~sent)
        open_ones = j.c.state.in_([State.ENCODED, State.DELIVERED])
        query = select(j).where(open_ones & (encoded | delivered)).order_by(j.c.created_at.desc())
        with self._reader.connect() as db:
            return [to_job(row) for row in db.execute(query)]

    def move_delivery(
        self,
        delivery: Delivery,
        to: DeliveryState,
        answer: str,
        next_at: float,
        *,
        asked: tuple[str, float] | None = None,
        note: str = "",
        counted: bool = True,
    ) -> bool:
        with self._engine.begin() as db:
            return move_delivery(db, delivery, to, answer, next_at, asked, note, counted=counted)

    def replace_deliveries(self, refused: Delivery, answer: str, at: float) -> bool:
        with self._engine.begin() as db:
            return replace_deliveries(db, refused, answer, at)

    def resend(self, job: Job, destinations: Sequence[str], at: float, text: str) -> int:
        with self._engine.begin() as db:
            return resend(db, job, destinations, at, text)

    def hurry_deliveries(self, job: Job, destinations: Sequence[str], at: float, text: str) -> int:
        with self._engine.begin() as db:
            return hurry_deliveries(db, job, destinations, at, text)

    def find_objects(self, job_id: str) -> list[ResultObject]:
        o = t.result_object
        with self._reader.connect() as db:
            rows = db.execute(select(o).where(o.c.job_id == job_id).order_by(o.c.position))
            return [to_object(row) for row in rows]

    def find_transaction(self, transaction_uid: str) -> list[Delivery]:
        with self._reader.connect() as db:
            return find_transaction(db, transaction_uid)


def add_objects(
    db: Connection, job: Job, objects: Sequence[ResultObject], shares: Mapping[str, Sequence[str]] | None, at: float
) -> None:
    """See Ledger.move_job. A rerun that made the same objects adds nothing twice."""
    o = t.result_object
    for position, item in enumerate(objects):
        db.execute(delete(o).where(o.c.sop_instance_uid == item.sop_instance_uid))
        db.execute(insert(o).values(asdict(item) | {"job_id": job.id, "position": position}))
    everything = [item.sop_instance_uid for item in objects]
    for destination in job.deliver:
        _add_deliveries(db, job.id, destination, everything if shares is None else shares.get(destination, ()), at)


def replace_deliveries(db: Connection, refused: Delivery, answer: str, at: float) -> bool:
    """See Ledger.replace_deliveries."""
    d, o = t.delivery, t.result_object
    here = (d.c.job_id == refused.job_id) & (d.c.destination == refused.destination)
    query = select(o.c.sop_instance_uid, o.c.substitute).join(d, d.c.sop_instance_uid == o.c.sop_instance_uid)
    rows = db.execute(query.where(here & (o.c.substitute != "")).order_by(o.c.position))
    pairs = {row.sop_instance_uid: row.substitute for row in rows}
    as_read = (d.c.sop_instance_uid == refused.object.sop_instance_uid) & (d.c.state == refused.state)
    if refused.object.sop_instance_uid not in pairs or not db.execute(select(d).where(here & as_read)).first():
        return False
    replaced = update(d).where(here & d.c.sop_instance_uid.in_(list(pairs)))
    db.execute(replaced.values(state=DeliveryState.REPLACED, answer=answer, attempts=d.c.attempts + 1))
    _add_deliveries(db, refused.job_id, refused.destination, list(pairs.values()), at)
    return True


def move_delivery(
    db: Connection,
    delivery: Delivery,
    to: DeliveryState,
    answer: str,
    next_at: float,
    asked: tuple[str, float] | None,
    note: str,
    *,
    counted: bool,
) -> bool:
    """See Ledger.move_delivery."""
    d = t.delivery
    if to == DeliveryState.PENDING and delivery.state == DeliveryState.SENT and (end := find_end(db, delivery.job_id)):
        to, answer, next_at = DeliveryState.REFUSED, f"{answer}; its job is {end}, it is not sent again", 0.0
    values: dict[str, Any] = {"state": to, "answer": answer, "next_at": next_at}
    if delivery.state == DeliveryState.PENDING:
        values |= {"attempts": d.c.attempts + counted}
    if to == DeliveryState.PENDING:
        values |= {"transaction_uid": "", "asked_at": 0.0, "asks": 0}
    elif delivery.state == DeliveryState.PENDING:
        values |= {"note": note}
    if asked is not None:
        values |= {"transaction_uid": asked[0], "asked_at": asked[1], "asks": d.c.asks + 1}
    here = (d.c.destination == delivery.destination) & (d.c.sop_instance_uid == delivery.object.sop_instance_uid)
    if not db.execute(update(d).where(here & (d.c.state == delivery.state)).values(values)).rowcount:
        return to == DeliveryState.SENT and keep_arrival(db, delivery, answer, next_at)
    if to == DeliveryState.PENDING and delivery.state != DeliveryState.PENDING:
        _forget_requests(db, [delivery.destination], [delivery.object.sop_instance_uid])
    if asked is not None and asked[0]:
        row = {"transaction_uid": asked[0], "destination": delivery.destination}
        db.execute(insert(t.commit_request).values(row | {"sop_instance_uid": delivery.object.sop_instance_uid}))
    return True


def resend(db: Connection, job: Job, destinations: Sequence[str], at: float, text: str) -> int:
    """See Ledger.resend."""
    d, j = t.delivery, t.job
    to = State.ENCODED if job.state == State.CONFIRMED or _was_refused(db, job) else job.state
    as_read = (j.c.id == job.id) & (j.c.state == job.state)
    values = {"state": to, "reason": job.reason if to == State.FAILED else ""}
    if not db.execute(update(j).where(as_read).values(values)).rowcount:
        raise LostLease(f"job {job.id} is no longer {job.state}")
    these = (d.c.job_id == job.id) & d.c.destination.in_(list(destinations)) & (d.c.state != DeliveryState.REPLACED)
    uids = list(db.execute(select(d.c.sop_instance_uid).where(these).distinct()).scalars())
    _forget_requests(db, destinations, uids)
    fresh = {"state": DeliveryState.PENDING, "attempts": 0, "next_at": at, "made_at": at, "note": "", "asks": 0}
    fresh |= {"transaction_uid": "", "asked_at": 0.0, "answer": text}
    number = db.execute(update(d).where(these).values(fresh)).rowcount
    remember(db, job.id, at, to, "resend", text, {})
    return number


def hurry_deliveries(db: Connection, job: Job, destinations: Sequence[str], at: float, text: str) -> int:
    """See Ledger.hurry_deliveries."""
    d = t.delivery
    these = (d.c.job_id == job.id) & d.c.destination.in_(list(destinations)) & (d.c.state == DeliveryState.PENDING)
    number = db.execute(update(d).where(these).values(next_at=at)).rowcount
    remember(db, job.id, at, job.state, "resend", text, {})
    return number


def find_transaction(db: Connection, transaction_uid: str) -> list[Delivery]:
    """See Ledger.find_transaction."""
    d, r = t.delivery, t.commit_request
    asked = (r.c.destination == d.c.destination) & (r.c.sop_instance_uid == d.c.sop_instance_uid)
    query = select_deliveries().join(r, asked).where(r.c.transaction_uid == transaction_uid)
    return [to_delivery(row) for row in db.execute(query)]


def drop_pending(db: Connection, job_id: str) -> None:
    """What was not sent of a job never will be."""
    d = t.delivery
    db.execute(delete(d).where((d.c.job_id == job_id) & (d.c.state == DeliveryState.PENDING)))


def _has(state: DeliveryState) -> ColumnElement[bool]:
    """True for rows of jobs that have a delivery in `state`."""
    d = t.delivery
    return exists().where((d.c.job_id == t.job.c.id) & (d.c.state == state))


def _is_held(at: float) -> ColumnElement[bool]:
    """True for rows of `select_deliveries` whose job has a segmentation on its way to the same destination that may yet
    be replaced and is not due at `at`."""
    d, other, o = t.delivery, t.delivery.alias(), t.result_object.alias()
    same = (other.c.job_id == d.c.job_id) & (other.c.destination == d.c.destination)
    waits = (other.c.state == DeliveryState.PENDING) & (other.c.next_at > at)
    replaceable = (o.c.kind == Kind.SEGMENTATION) & (o.c.substitute != "")
    return exists().where(same & waits & (o.c.sop_instance_uid == other.c.sop_instance_uid) & replaceable)


def select_deliveries() -> Any:
    """All deliveries with their objects, in the order in which those were made."""
    d, o = t.delivery, t.result_object
    return (
        select(d, *(o.c[name] for name in OBJECT))
        .join(o, o.c.sop_instance_uid == d.c.sop_instance_uid)
        .order_by(d.c.job_id, o.c.position)
    )


def to_delivery(row: Row[Any]) -> Delivery:
    """A row of `select_deliveries`."""
    state = DeliveryState(row.state)
    fields = (row.attempts, row.next_at, row.answer, row.transaction_uid, row.asked_at, row.made_at)
    return Delivery(row.job_id, row.destination, to_object(row), state, *fields, note=row.note, asks=row.asks)


def to_object(row: Row[Any]) -> ResultObject:
    """A row with the columns of `result_object`."""
    values = {name: getattr(row, name) for name in OBJECT}
    return ResultObject(row.sop_instance_uid, **values | {"kind": Kind(row.kind)})


def _add_deliveries(db: Connection, job_id: str, destination: str, uids: Sequence[str], at: float) -> None:
    d = t.delivery
    for uid in uids:
        db.execute(delete(d).where((d.c.destination == destination) & (d.c.sop_instance_uid == uid)))
        _forget_requests(db, [destination], [uid])
        values: dict[str, Any] = {"destination": destination, "sop_instance_uid": uid, "job_id": job_id}
        values |= {"state": DeliveryState.PENDING, "attempts": 0, "next_at": at, "made_at": at}
        db.execute(insert(d).values(values))


def _forget_requests(db: Connection, destinations: Sequence[str], uids: Sequence[str]) -> None:
    """What a destination may yet say of an earlier sending says nothing of the next one."""
    r = t.commit_request
    db.execute(delete(r).where(r.c.destination.in_(list(destinations)) & r.c.sop_instance_uid.in_(list(uids))))


def _was_refused(db: Connection, job: Job) -> bool:
    """True when it was a destination that failed the job: its results are whole."""
    h = t.history
    query = select(h.c.station).where(h.c.job_id == job.id).order_by(h.c.id.desc()).limit(1)
    return job.state == State.FAILED and db.execute(query).scalar() in {"deliver", "confirm"}
