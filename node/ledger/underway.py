"""What reached a destination although nobody was to send it any more."""

from typing import Any

from sqlalchemy import Connection, insert, select

from node.ledger import tables as t
from node.model.delivery import Delivery, DeliveryState
from node.model.job import State


def keep_arrival(db: Connection, delivery: Delivery, answer: str, next_at: float) -> bool:
    """An object that was on its way when its job was canceled has reached the destination: what the PACS holds, the
    ledger knows, and a later version of the result names it. True when that was so."""
    d, j = t.delivery, t.job
    if db.execute(select(j.c.state).where(j.c.id == delivery.job_id)).scalar() != State.CANCELED:
        return False
    uid = delivery.object.sop_instance_uid
    key = (d.c.destination == delivery.destination) & (d.c.sop_instance_uid == uid)
    if db.execute(select(d.c.state).where(key)).first() is not None:
        return False
    row: dict[str, Any] = {"destination": delivery.destination, "sop_instance_uid": uid, "job_id": delivery.job_id}
    row |= {"state": DeliveryState.SENT, "answer": answer, "next_at": next_at, "made_at": delivery.made_at}
    db.execute(insert(d).values(row | {"attempts": delivery.attempts + 1}))
    return True
