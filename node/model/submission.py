"""A study that somebody asked for by its uid: it is fetched from a peer, and read."""

from dataclasses import dataclass
from enum import StrEnum


class SubmissionState(StrEnum):
    """ASKED: the peer is, or will be, asked for its images. FETCHED: they came; the study is waited for to be closed.
    MADE: its jobs are in the ledger. REFUSED: there will be none, and why."""

    ASKED = "ASKED"
    FETCHED = "FETCHED"
    MADE = "MADE"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Submission:
    """One row per study, peer, and route or pipeline.

    route: of the configuration; "" for a pipeline without one. jobs: ids, that of the route last. answer: what came of
    it so far. asked_at: when somebody asked last; next_at: when to look again (seconds since the epoch, UTC).
    """

    id: str
    study_uid: str
    peer: str
    route: str
    pipeline: str
    state: SubmissionState
    asked_at: float
    next_at: float
    answer: str = ""
    jobs: tuple[str, ...] = ()
