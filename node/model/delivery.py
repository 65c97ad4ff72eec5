"""A delivery: one result instance on its way to one destination."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a result object is for its reader."""

    SEGMENTATION = "segmentation"
    REPORT = "report"
    PRESENTATION = "presentation"
    KEY_OBJECTS = "key-objects"
    CAPTURE = "capture"
    MAP = "map"
    STRUCTURES = "structures"
    DOCUMENT = "document"
    REGISTRATION = "registration"


class DeliveryState(StrEnum):
    """PENDING: to be sent (again). SENT: the peer answered success. KEPT: it confirmed that it keeps it.
    REFUSED: it will never take it. REPLACED: it will not take it and gets another object in its place."""

    PENDING = "PENDING"
    SENT = "SENT"
    KEPT = "KEPT"
    REFUSED = "REFUSED"
    REPLACED = "REPLACED"


@dataclass(frozen=True, slots=True)
class ResultObject:
    """A result object in the outbox; path is relative to it. substitute: SOP Instance UID of what goes in its place to
    a destination that refuses it. series_uid, frame_of_reference_uid: its own; "" where unknown or none."""

    sop_instance_uid: str
    sop_class_uid: str
    modality: str
    path: str
    kind: Kind = Kind.REPORT
    substitute: str = ""
    series_uid: str = ""
    frame_of_reference_uid: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One row per result object and destination.

    next_at: when to act on it next (seconds since the epoch); asked_at: when the destination was last asked to
    commit; transaction_uid: of that request; asks: how often it was asked since it took the object; made_at: when the
    object came into the outbox, or an operator had it sent again. note: a warning with which the destination took it.
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
    note: str = ""
    asks: int = 0
