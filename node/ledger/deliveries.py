"""Result objects and their deliveries as rows: inside the transaction of SqlLedger's verbs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from node.ledger import tables as t
from node.model.delivery import Delivery, DeliveryState, Kind, ResultObject
from node.model.job import Job


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


def drop_pending(db: Connection, job_id: str) -> None:
    """What was not sent of a job never will be."""
    d = t.delivery
    db.execute(delete(d).where((d.c.job_id == job_id) & (d.c.state == DeliveryState.PENDING)))


def select_deliveries() -> Any:
    """All deliveries with their objects, in the order in which those were made."""
    d, o = t.delivery, t.result_object
    return (
        select(d, o.c.sop_class_uid, o.c.modality, o.c.path, o.c.kind, o.c.substitute)
        .join(o, o.c.sop_instance_uid == d.c.sop_instance_uid)
        .order_by(d.c.job_id, o.c.position)
    )


def to_delivery(row: Row[Any]) -> Delivery:
    """A row of `select_deliveries`."""
    state = DeliveryState(row.state)
    fields = (row.attempts, row.next_at, row.answer, row.transaction_uid, row.asked_at, row.made_at)
    return Delivery(row.job_id, row.destination, to_object(row), state, *fields)


def to_object(row: Row[Any]) -> ResultObject:
    """A row with the columns of `result_object`."""
    kind = Kind(row.kind)
    return ResultObject(row.sop_instance_uid, row.sop_class_uid, row.modality, row.path, kind, row.substitute)


def _add_deliveries(db: Connection, job_id: str, destination: str, uids: Sequence[str], at: float) -> None:
    d = t.delivery
    for uid in uids:
        db.execute(delete(d).where((d.c.destination == destination) & (d.c.sop_instance_uid == uid)))
        values: dict[str, Any] = {"destination": destination, "sop_instance_uid": uid, "job_id": job_id}
        values |= {"state": DeliveryState.PENDING, "attempts": 0, "next_at": at, "made_at": at}
        db.execute(insert(d).values(values))
