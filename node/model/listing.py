"""A page of a long list: what is wanted of it, and where it begins."""

from dataclasses import dataclass

from node.model.job import Priority, State


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs a list shows; "" asks nothing. peer: a destination. text: how a job id or study uid begins. patient:
    key of the patient, see node.security.patient_key."""

    state: State | None = None
    pipeline: str = ""
    route: str = ""
    peer: str = ""
    text: str = ""
    patient: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a page begins: with what is older than the row of this time and key, or newer. Unlike a number of rows to
    pass over it costs the same on every page, and rows that are added meanwhile do not shift it."""

    at: float
    key: str
    newer: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many unfinished jobs of a lane are equally urgent and in one state. oldest_at: when the oldest was made,
    seconds since the epoch, UTC."""

    lane: str
    priority: Priority
    state: State
    number: int
    oldest_at: float
