"""What a PACS sent: instances, and the study they add up to."""

from dataclasses import dataclass
from enum import StrEnum


class StudyState(StrEnum):
    """RECEIVING may still grow; COMPLETE was closed on evidence and matched."""

    RECEIVING = "RECEIVING"
    COMPLETE = "COMPLETE"


@dataclass(frozen=True, slots=True)
class Instance:
    """One SOP instance as it lies in the spool.

    path: relative to the spool; its name derives from the content, never from the wire.
    digest: XXH3 over transfer syntax and dataset bytes, as sent.
    is_image: False for objects that describe images (SEG, SR, KO, PR ...): they never open a study.
    received_at: seconds since the epoch, UTC. expired_at: when retention took its file, None while it is there.
    """

    sop_instance_uid: str
    sop_class_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax_uid: str
    digest: str
    size: int
    path: str
    is_image: bool
    received_at: float
    expired_at: float | None = None


@dataclass(frozen=True, slots=True)
class Study:
    """A study as the ledger knows it. `version` grows when images come after it was closed. waits: for what it
    waits, "" while images arrive."""

    study_uid: str
    state: StudyState
    version: int
    first_at: float
    last_at: float
    closed_at: float | None
    evidence: str
    reason: str
    waits: str = ""


@dataclass(frozen=True, slots=True)
class Finished:
    """A study that nothing waits for any more. size: bytes of its files in the spool; last_at: of its last image."""

    study_uid: str
    version: int
    last_at: float
    size: int


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Bytes that were refused but kept: what, why and from whom."""

    at: float
    path: str
    reason: str
    caller: str
    sop_instance_uid: str
