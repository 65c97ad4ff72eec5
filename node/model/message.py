"""A message: what one receiver is told of one job. Its text is made when it is sent, and kept nowhere."""

from dataclasses import dataclass
from enum import StrEnum


class Subject(StrEnum):
    """RESULT: what the report of the job says, or that it did not run. PRIORITY: that the study be read sooner. TASK:
    how far the job is, told anew with each step."""

    RESULT = "result"
    PRIORITY = "priority"
    TASK = "task"


class MessageState(StrEnum):
    """WAITING: its job has come to an end that may be told. PENDING: to be sent (again). SENT: the receiver took it.
    REFUSED: it never will. DROPPED: there is nothing to tell, or no longer."""

    WAITING = "WAITING"
    PENDING = "PENDING"
    SENT = "SENT"
    REFUSED = "REFUSED"
    DROPPED = "DROPPED"


@dataclass(frozen=True, slots=True)
class Message:
    """One row per receiver, job and subject.

    control_id: identifies what is told: a repeat has the same one. told: the control id that the receiver last took.
    next_at: when to send it next; made_at: since when it waits (seconds since the epoch, UTC). answer: codes, and
    sentences of our own.
    """

    destination: str
    job_id: str
    subject: Subject
    state: MessageState
    attempts: int
    next_at: float
    made_at: float
    answer: str = ""
    control_id: str = ""
    told: str = ""
