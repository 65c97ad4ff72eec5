"""A peer asks us to commit to what it sent."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Commitment:
    """A storage commitment request that was not reported yet (PS3.4 annex J).

    references: (SOP Class UID, SOP Instance UID). asked_at, next_at: seconds since the epoch, UTC.
    """

    transaction_uid: str
    caller: str
    references: tuple[tuple[str, str], ...]
    asked_at: float
    next_at: float
    attempts: int
