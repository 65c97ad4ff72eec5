"""A delivery: one result instance on its way to one destination."""

from dataclasses import dataclass
from enum import StrEnum


class DeliveryState(StrEnum):
    """PENDING: to be sent (again). SENT: the peer answered success. KEPT: it confirmed that it keeps it.
    REFUSED: it will never take it."""

    PENDING = "PENDING"
    SENT = "SENT"
    KEPT = "KEPT"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class ResultObject:
    """A result object in the outbox; path is relative to it."""

    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    path: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row per result object and destination.

    next_at: when to act on it next (seconds since the epoch); asked_at: when the destination was last asked to
    commit; transaction_uid: of that request; made_at: when the object came into the outbox.
    """

    job_id: str
    destination: str
    object: ResultObject
    state: DeliveryState
    attempts: int
    next_at: float
    answer: str
    transaction_uid: str
    asked_at: float
    made_at: float
