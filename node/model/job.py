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
    State.CONFIRMED: frozenset({State.ENCODED}),
    State.FAILED: frozenset({State.QUEUED, State.ENCODED}),
    State.CANCELED: frozenset(),
}
"""The one transition table. DELIVERED -> ENCODED: a peer lost what it had taken. An operator alone leaves a final
state: FAILED -> QUEUED computes again, CONFIRMED and FAILED -> ENCODED send the results again."""

FINAL = frozenset({State.CONFIRMED, State.FAILED, State.CANCELED})


class Priority(StrEnum):
    """How urgent a route's jobs are, from the most urgent."""

    STAT = "stat"
    ROUTINE = "routine"
    OFF_PEAK = "off-peak"


class Late(StrEnum):
    """What images do that come after a study was closed. NEVER: no new job. ALWAYS: a new result beside the old one.
    REPLACE: the next version of the same result, which names its predecessor."""

    NEVER = "never"
    ALWAYS = "always"
    REPLACE = "replace"


class Gathering(StrEnum):
    """What a job's route wants fetched before it runs. NONE: nothing. ASKING: peers are asked, the job waits.
    DONE: it runs with what was found. MISSING: what it requires was not found, it will refuse by name; or nobody was
    asked, for it FAILED from the first. Queued again it asks."""

    NONE = ""
    ASKING = "ASKING"
    DONE = "DONE"
    MISSING = "MISSING"


@dataclass(frozen=True, slots=True)
class Job:
    """One row of the ledger: no pixel, no path, no dataset.

    deliver: names of the destination peers; empty keeps the results in the outbox. tell: names of the receivers that
    are told of its result by message.
    token: fencing token of the present lease, "" without one.
    priors: Study Instance UIDs of earlier studies of the patient that were gathered, the newest first.
    ready_at: while it is ASKING the job waits until then at the longest.
    after: id of the job whose result objects must lie in the outbox before this one may run, "" for none.
    not_before: when the schedule of its route lets it run, 0 for at once.
    inputs: digest of the images that it was made for, and of the job that it comes after.
    superseded_by: id of the job of a later version that replaces it, "" for none.
    progress, activity: while it is CLAIMED, the share done (0 to 1) and what its worker last said that it does: a
    station, then a word of the pipeline's own. Told to people, nothing depends on them.
    lease_until, created_at, ready_at, not_before: seconds since the epoch, UTC.
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
    priors: tuple[str, ...] = ()
    gathering: Gathering = Gathering.NONE
    ready_at: float = 0.0
    late: Late = Late.REPLACE
    after: str = ""
    not_before: float = 0.0
    inputs: str = ""
    superseded_by: str = ""
    progress: float = 0.0
    activity: str = ""
    tell: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a job's history. seconds: station -> duration, where the event measured some."""

    at: float
    state: State
    station: str
    text: str
    seconds: dict[str, float]
