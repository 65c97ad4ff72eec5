"""What somebody says of a study: a peer's count, an announcement, an operator's word, a worklist's answer."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """COUNT: a peer was asked how many instances it has. ANNOUNCEMENT: the SOP instances were named (PS3.4 annex R).
    OPERATOR: somebody looked and said that this is all. ORDER: a worklist was asked what was ordered, which says
    nothing of how much there is. STEP: a modality performs a procedure step on it (PS3.4 annex F)."""

    COUNT = "count"
    ANNOUNCEMENT = "announcement"
    OPERATOR = "operator"
    ORDER = "order"
    STEP = "step"


class StepState(StrEnum):
    """Performed Procedure Step Status (0040,0252; PS3.3 C.4.14)."""

    IN_PROGRESS = "IN PROGRESS"
    COMPLETED = "COMPLETED"
    DISCONTINUED = "DISCONTINUED"


@dataclass(frozen=True, slots=True)
class Expectation:
    """One row per study, kind and source.

    source: name of the peer that was asked, AE title of the caller that announced, uid of the procedure step, "" for an
    operator. number: of a count, instances that the peer has beside our own results; of an order, how many were found;
    of a step, images that it names; None when it did not say. answer: what it said instead, or the state of the step.
    at: when it was said; mark: end of the last association, or last image, after which it was asked; next_at: when to
    ask again (all in seconds since the epoch, UTC). attempts: questions since `mark`.
    series: a count is of these alone; none is the whole study.
    """

    study_uid: str
    kind: Kind
    source: str
    at: float
    number: int | None = None
    answer: str = ""
    mark: float = 0.0
    next_at: float = 0.0
    attempts: int = 0
    series: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Count:
    """Instances that a peer has beside our own results; series: in these alone, none is the whole study."""

    number: int
    series: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """What is here of a study beside our own results, by distinct SOP Instance UID.

    held: of every class. announced: named by announcements. announced_here: those of them that are held.
    unannounced: images that are held and were not named.
    """

    held: int
    announced: int = 0
    announced_here: int = 0
    unannounced: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """A study of which a peer is to be asked how much there is. mark: as in `Expectation`.
    asked: how often it was asked since then. ours: SOP Instance UIDs of our own results on the study."""

    study_uid: str
    mark: float
    asked: int
    ours: frozenset[str]
