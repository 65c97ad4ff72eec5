"""Who is told of what becomes of jobs: an address outside, and what it has been told so far."""

from dataclasses import dataclass
from enum import StrEnum

from node.model.job import State


class NoticeState(StrEnum):
    """PENDING: to be sent. SENT: the receiver answered 2xx. DEAD: given up; an operator may have it sent again."""

    PENDING = "PENDING"
    SENT = "SENT"
    DEAD = "DEAD"


@dataclass(frozen=True, slots=True)
class Hook:
    """One row per configured webhook.

    after: number of the last line of the history that was looked at for it. paused_at: since when nothing is sent,
    because the receiver said that it wants no more (410), 0 if it is not. next_at: of the next try while it cannot be
    reached; failures: consecutive ones to reach it. heard_at: when it last answered, 0 if never. answer: what came of
    the last try. Times are seconds since the epoch, UTC.
    """

    name: str
    after: int = 0
    paused_at: float = 0.0
    failures: int = 0
    next_at: float = 0.0
    heard_at: float = 0.0
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """One line of a job's history, to be told to one hook: uids, states and codes.

    number: of the line. kind: "state" where the line changed the job's state, else "note". at: when the line was
    written; since: from when on it counts as waiting; times are seconds since the epoch, UTC.
    """

    hook: str
    number: int
    job_id: str
    kind: str
    job_state: State
    station: str
    code: str
    study_uid: str
    route: str
    pipeline: str
    version: int
    at: float
    state: NoticeState
    attempts: int
    since: float
    next_at: float
    answer: str


@dataclass(frozen=True, slots=True)
class Told:
    """How much of what one hook wants: waiting, sent, given up, and since when the oldest of the first waits."""

    waiting: int = 0
    sent: int = 0
    dead: int = 0
    oldest_at: float | None = None
