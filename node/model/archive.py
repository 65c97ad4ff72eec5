"""A peer that is asked what it holds and gives it: what it answers, and the port behind which it stands."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Sink = Callable[[Iterable[bytes]], None]
"""Takes the bytes of one Part 10 file, piece by piece. Raises RefusedInstance when it is not kept."""


@dataclass(frozen=True, slots=True)
class FoundStudy:
    """A study as a peer describes it; what it did not answer is empty. What names a patient is not shown.

    date, time: DA and TM (PS3.5 6.2). modalities: of its series.
    """

    study_uid: str
    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    date: str = field(repr=False)
    time: str = field(repr=False)
    modalities: tuple[str, ...]
    description: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FoundSeries:
    """A series as a peer describes it; what it did not answer is empty."""

    series_uid: str
    modality: str
    body_part: str
    description: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FoundInstance:
    """sop_class_uid: "" when the peer did not say."""

    sop_instance_uid: str
    sop_class_uid: str


class Archive(Protocol):
    """One peer. `until`: when to stop waiting for it, on the monotonic clock.

    Every verb raises PeerUnreachable when it does not answer in time, and PeerRefused with what it answers otherwise.
    `fetch` may raise OutOfResources, where the sink has no room for what it brings.
    """

    name: str
    title: str

    def find_studies(self, patient_id: str, dates: tuple[str, str], modality: str, until: float) -> list[FoundStudy]:
        """Studies of a patient between two dates (DA, both included). Check each: the peer may have
        applied none of it."""
        ...

    def find_series(self, study_uid: str, until: float) -> list[FoundSeries]:
        """The series of a study."""
        ...

    def find_instances(self, study_uid: str, series_uid: str, until: float) -> list[FoundInstance]:
        """The instances of a series."""
        ...

    def fetch(
        self,
        study_uid: str,
        series_uid: str,
        instances: Sequence[FoundInstance],
        sink: Sink,
        until: float,
        *,
        whole: bool,
    ) -> None:
        """Brings `instances` of a series, to `sink` or to our door; whole: they are all that the peer has of it."""
        ...
