"""The part of the ledger's port that shows long lists a page at a time. `ListingLedger` says how."""

from collections.abc import Iterable
from typing import Protocol

from node.model.job import Job, State
from node.model.listing import Turn, Waiting, Wanted
from node.model.study import Study


class Lists(Protocol):
    """What people look at."""

    def list_jobs(self, wanted: Wanted, turn: Turn | None, limit: int) -> list[Job]:
        """At most `limit` jobs, newest first, from `turn` on: those next to it, older or newer as it says."""
        ...

    def list_studies(self, state: str, text: str, turn: Turn | None, limit: int, patient: str = "") -> list[Study]:
        """The same of studies, by their last image. state: a StudyState, NO_JOB, or "" for all; text: how the uid
        begins. patient: key of one patient, "" for all."""
        ...

    def count_states(self) -> dict[State, int]:
        """How many jobs are in each state."""
        ...

    def count_waiting(self) -> list[Waiting]:
        """Jobs that are QUEUED or CLAIMED, by lane, then from the most urgent."""
        ...

    def list_queue(self, limit: int) -> list[Job]:
        """At most `limit` QUEUED jobs, the most urgent first, of equal ones the oldest."""
        ...

    def find_beginning(self, text: str, limit: int) -> list[Job]:
        """At most `limit` jobs whose id begins so."""
        ...

    def find_named(self, job_ids: Iterable[str]) -> dict[str, Job]:
        """Id -> job, of those that there are; some hundred at once."""
        ...
