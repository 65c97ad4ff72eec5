"""What reached a destination although nobody was to send it any more."""

from typing import Any

from sqlalchemy import Connection, insert, select

from node.ledger import tables as t
from node.model.delivery import Delivery, DeliveryState
from node.model.job import State


def find_end(db: Connection, job_id: str) -> str:
    """Why nothing of the job is sent any more, as a word, "" while it may be: it was canceled, or it failed and a later
    version of the study has a job in its place."""
    j = t.job
    row = db.execute(select(j.c.state, j.c.superseded_by).where(j.c.id == job_id)).first()
    if row is None or row.state == State.CANCELED:
        return "canceled" if row else ""
    return "superseded" if row.state == State.FAILED and row.superseded_by else ""


def keep_arrival(db: Connection, delivery: Delivery, answer: str, next_at: float) -> bool:
    """An object that was on its way when its job was canceled or superseded has reached the destination: what the PACS
    holds, the ledger knows, and a later version of the result names it. True when that was so."""
    d = t.delivery
    if not find_end(db, delivery.job_id):
        return False
    uid = delivery.object.sop_instance_uid
    key = (d.c.destination == delivery.destination) & (d.c.sop_instance_uid == uid)
    if db.execute(select(d.c.state).where(key)).first() is not None:
        return False
    row: dict[str, Any] = {"destination": delivery.destination, "sop_instance_uid": uid, "job_id": delivery.job_id}
    row |= {"state": DeliveryState.SENT, "answer": answer, "next_at": next_at, "made_at": delivery.made_at}
    db.execute(insert(d).values(row | {"attempts": delivery.attempts + 1}))
    return True
