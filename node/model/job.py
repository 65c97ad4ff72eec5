"""A job: one pipeline on one study by one route, and the table of states that it may pass."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """A state is a fact that survives a crash; activities such as running or sending are not states."""

    QUEUED = "QUEUED"
    CLAIMED = "CLAIMED"
    ENCODED = "ENCODED"
    DELIVERED = "DELIVERED"
    CONFIRMED = "CONFIRMED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.CLAIMED, State.FAILED, State.CANCELED}),
    State.CLAIMED: frozenset({State.ENCODED, State.QUEUED, State.FAILED, State.CANCELED}),
    State.ENCODED: frozenset({State.DELIVERED, State.FAILED, State.CANCELED}),
    State.DELIVERED: frozenset({State.CONFIRMED, State.ENCODED, State.FAILED}),
    State.CONFIRMED: frozenset(),
    State.FAILED: frozenset({State.QUEUED}),
    State.CANCELED: frozenset(),
}
"""The one transition table. DELIVERED -> ENCODED: a peer lost what it had taken. FAILED -> QUEUED: an operator."""

FINAL = frozenset({State.CONFIRMED, State.FAILED, State.CANCELED})


class Priority(StrEnum):
    """How urgent a route's jobs are."""

    STAT = "stat"
    ROUTINE = "routine"
    OFF_PEAK = "off-peak"


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the ledger: no pixel, no path, no dataset.

    deliver: names of the destination peers; empty keeps the results in the outbox.
    token: fencing token of the present lease, "" without one.
    lease_until, created_at: seconds since the epoch, UTC.
    """

    id: str
    study_uid: str
    series_uids: tuple[str, ...]
    route: str
    pipeline: str
    deliver: tuple[str, ...]
    priority: Priority
    lane: str
    version: int
    state: State
    attempt: int
    token: str
    lease_until: float
    reason: str
    notes: tuple[str, ...]
    created_at: float


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a job's history. seconds: station -> duration, where the event measured some."""

    at: float
    state: State
    station: str
    text: str
    seconds: dict[str, float]
