"""A notice: a peer is to be told that results of a job are to be had."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Notice:
    """An Instance Availability Notification that was not sent yet (PS3.4 annex R).

    uid: its SOP Instance UID. peer: who is to be told. made_at, next_at: seconds since the epoch, UTC.
    """

    uid: str
    job_id: str
    peer: str
    made_at: float
    next_at: float
    attempts: int
