"""A workitem (Unified Procedure Step): its states, and what becomes of each request in each of them (PS3.4 annex CC).

The table is all of PS3.4 Table CC.1.1-2, with the answer on both wires: the DIMSE status, and the status and Warning of
PS3.18 chapter 11. N-SET, of which the table does not speak, stands beside it (PS3.4 CC.2.6, PS3.18 11.6).
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

PUSH_CLASS = "1.2.840.10008.5.1.4.34.6.1"
"""SOP class of every workitem, whichever class its request came by (PS3.4 CC.3.1)."""

WATCH_CLASS = "1.2.840.10008.5.1.4.34.6.2"
PULL_CLASS = "1.2.840.10008.5.1.4.34.6.3"
EVENT_CLASS = "1.2.840.10008.5.1.4.34.6.4"
QUERY_CLASS = "1.2.840.10008.5.1.4.34.6.5"

GLOBAL = "1.2.840.10008.5.1.4.34.5"
"""Subscribed to like a workitem, it stands for all of them (PS3.4 CC.3.1.2)."""

FILTERED = "1.2.840.10008.5.1.4.34.5.1"
"""The same for those that match the keys given with the subscription (PS3.4 CC.2.3.3.1)."""

SCOPES = frozenset({GLOBAL, FILTERED})


class StepState(StrEnum):
    """Of a workitem (PS3.4 Table CC.1.1-1)."""

    SCHEDULED = "SCHEDULED"
    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"


FINAL_STEPS = frozenset({StepState.COMPLETED, StepState.CANCELED})


class StepPriority(StrEnum):
    """Scheduled Procedure Step Priority (0074,1200), from the most urgent."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Readiness(StrEnum):
    """Input Readiness State (0040,4041)."""

    INCOMPLETE = "INCOMPLETE"
    UNAVAILABLE = "UNAVAILABLE"
    READY = "READY"


class Report(IntEnum):
    """Event Type ID of what subscribers are told (PS3.4 Table CC.2.4-1)."""

    STATE = 1
    CANCEL_REQUESTED = 2
    PROGRESS = 3
    SCP_STATUS = 4
    ASSIGNED = 5


class Request(StrEnum):
    """What is asked of a workitem, a row of the table. RIGHT: with the Transaction UID that holds it, or that shall
    hold it; WRONG: with another or none."""

    CREATE = "create"
    CLAIM_RIGHT = "claim with the correct Transaction UID"
    CLAIM_WRONG = "claim without"
    SCHEDULE = "change to SCHEDULED"
    COMPLETE_RIGHT = "complete with the correct Transaction UID"
    COMPLETE_WRONG = "complete without"
    ASK_TO_CANCEL = "request cancellation"
    CANCEL_RIGHT = "cancel with the correct Transaction UID"
    CANCEL_WRONG = "cancel without"
    SET_BARE = "set without a Transaction UID"
    SET_RIGHT = "set with the correct Transaction UID"
    SET_WRONG = "set with another"


class Effect(StrEnum):
    """What a request does. FINISH: when the requirements of the final state are met, else `UNFINISHED` is answered."""

    NONE = ""
    CREATE = "create it"
    CLAIM = "it is IN PROGRESS"
    FINISH = "it is COMPLETED or CANCELED"
    TELL = "subscribers are told"
    CANCEL = "it is IN PROGRESS, then CANCELED"
    SET = "its attributes change"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to a request. status: DIMSE, 0x0000 or 0xBxxx where it was granted. http: of UPS-RS. warning: text of
    the Warning header (PS3.18 11.4.3.2 to 11.11.3.2), "" for none. text: a sentence on a refusal."""

    status: int
    http: int
    warning: str = ""
    text: str = ""
    effect: Effect = Effect.NONE

    @property
    def is_granted(self) -> bool:
        """A warning is a kind of success (PS3.7 C.1)."""
        return self.status in {0x0000, 0x0001} or 0xB000 <= self.status < 0xC000


INCONSISTENT = "The submitted request is inconsistent with the state of the UPS Instance."
INCONSISTENT_UPDATE = "The submitted request is inconsistent with the current state of the Workitem."
NOT_CLAIMED = "The target URI did not reference a claimed Workitem."
NO_LOCK = "The Transaction UID is missing."
OTHER_LOCK = "The Transaction UID is incorrect."
ALREADY_CANCELED = "The UPS is already in the requested state of CANCELED."
ALREADY_COMPLETED = "The UPS is already in the requested state of COMPLETED."
CREATED_MODIFIED = "The Workitem was created with modifications."

UNKNOWN = Outcome(0xC307, 404, "", "this node has no such workitem")
GONE = Outcome(0xC307, 410, "", "this workitem was here and has been deleted")
EXISTS = Outcome(0x0111, 409, "", "a workitem with this uid exists")
FINAL_STATE = Outcome(0xC300, 409, INCONSISTENT, "it is COMPLETED or CANCELED and may no longer be updated")
WRONG_LOCK = Outcome(0xC301, 400, OTHER_LOCK, "the Transaction UID is not the one that holds it")
CLAIMED = Outcome(0xC302, 409, INCONSISTENT, "it is IN PROGRESS already")
NEVER_AGAIN = Outcome(0xC303, 409, INCONSISTENT, "a workitem becomes SCHEDULED by being created, in no other way")
UNFINISHED = Outcome(0xC304, 409, INCONSISTENT, "the requirements of the final state are not met")
NOT_YET = Outcome(0xC310, 409, INCONSISTENT, "it is not IN PROGRESS yet")
TOO_LATE = Outcome(0xC311, 409, INCONSISTENT, "it is COMPLETED already")
IS_CANCELED = Outcome(0xB304, 200, ALREADY_CANCELED)
IS_COMPLETED = Outcome(0xB306, 200, ALREADY_COMPLETED)
ASKED_OF_CANCELED = Outcome(0xB304, 202, ALREADY_CANCELED)
CREATED = Outcome(0x0000, 201, effect=Effect.CREATE)
CREATED_CHANGED = Outcome(0xB300, 201, CREATED_MODIFIED, effect=Effect.CREATE)
CLAIM = Outcome(0x0000, 200, effect=Effect.CLAIM)
FINISH = Outcome(0x0000, 200, effect=Effect.FINISH)
TELL = Outcome(0x0000, 202, effect=Effect.TELL)
CANCEL = Outcome(0x0000, 202, effect=Effect.CANCEL)
SET = Outcome(0x0000, 200, effect=Effect.SET)
SET_FINAL = Outcome(0xC300, 400, INCONSISTENT_UPDATE, FINAL_STATE.text)
SET_UNLOCKED = Outcome(0xC301, 400, INCONSISTENT_UPDATE, WRONG_LOCK.text)
SET_UNCLAIMED = Outcome(0xC310, 409, NOT_CLAIMED, "it is SCHEDULED: nobody holds it by a Transaction UID yet")
SUBSCRIBED = Outcome(0x0000, 201)
UNSUBSCRIBED = Outcome(0x0000, 200)
NOT_SUBSCRIBED = Outcome(0x0000, 404, "", "there is no such subscription")

_ROWS: dict[Request, tuple[Outcome, Outcome, Outcome, Outcome, Outcome]] = {
    # absent, SCHEDULED, IN PROGRESS, COMPLETED, CANCELED
    Request.CREATE: (CREATED, EXISTS, EXISTS, EXISTS, EXISTS),
    Request.CLAIM_RIGHT: (UNKNOWN, CLAIM, CLAIMED, FINAL_STATE, FINAL_STATE),
    Request.CLAIM_WRONG: (UNKNOWN, WRONG_LOCK, WRONG_LOCK, WRONG_LOCK, WRONG_LOCK),
    Request.SCHEDULE: (UNKNOWN, NEVER_AGAIN, NEVER_AGAIN, NEVER_AGAIN, NEVER_AGAIN),
    Request.COMPLETE_RIGHT: (UNKNOWN, NOT_YET, FINISH, IS_COMPLETED, FINAL_STATE),
    Request.COMPLETE_WRONG: (UNKNOWN, WRONG_LOCK, WRONG_LOCK, WRONG_LOCK, WRONG_LOCK),
    Request.ASK_TO_CANCEL: (UNKNOWN, CANCEL, TELL, TOO_LATE, ASKED_OF_CANCELED),
    Request.CANCEL_RIGHT: (UNKNOWN, NOT_YET, FINISH, FINAL_STATE, IS_CANCELED),
    Request.CANCEL_WRONG: (UNKNOWN, WRONG_LOCK, WRONG_LOCK, WRONG_LOCK, WRONG_LOCK),
    Request.SET_BARE: (UNKNOWN, SET, SET_UNLOCKED, SET_FINAL, SET_FINAL),
    Request.SET_RIGHT: (UNKNOWN, SET_UNCLAIMED, SET, SET_FINAL, SET_FINAL),
    Request.SET_WRONG: (UNKNOWN, SET_UNCLAIMED, SET_UNLOCKED, SET_FINAL, SET_FINAL),
}

TABLE: dict[tuple[Request, StepState | None], Outcome] = {
    (request, state): outcome
    for request, outcomes in _ROWS.items()
    for state, outcome in zip((None, *StepState), outcomes, strict=True)
}
"""By request and state; None: there is no such workitem."""

CHANGES: dict[StepState, tuple[Request, Request]] = {
    StepState.SCHEDULED: (Request.SCHEDULE, Request.SCHEDULE),
    StepState.IN_PROGRESS: (Request.CLAIM_RIGHT, Request.CLAIM_WRONG),
    StepState.COMPLETED: (Request.COMPLETE_RIGHT, Request.COMPLETE_WRONG),
    StepState.CANCELED: (Request.CANCEL_RIGHT, Request.CANCEL_WRONG),
}
"""State asked for -> the row of the table with the correct Transaction UID, and without."""


@dataclass(frozen=True, slots=True)
class Workitem:
    """What the worklist holds of one. model: its attributes as DICOM JSON text, without the Transaction UID, which
    opens its lock and is told to nobody. changed_at, ended_at: seconds since the epoch, UTC; ended_at None: not yet."""

    uid: str
    state: StepState
    model: str
    changed_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class Notice:
    """An event that a subscriber has not been told yet. number: grows with time. model: the event information as DICOM
    JSON text (PS3.4 Table CC.2.4-1). at: seconds since the epoch, UTC."""

    number: int
    subscriber: str
    uid: str
    report: Report
    model: str
    at: float
