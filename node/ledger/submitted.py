"""The part of the ledger's port that speaks of studies submitted by uid. `SubmissionLedger` says how."""

from collections.abc import Sequence
from typing import Protocol

from node.model.job import Job
from node.model.study import Study
from node.model.submission import Submission, SubmissionState


class Submitted(Protocol):
    """What was asked for by its uid."""

    def submit(self, submission: Submission, *, again: bool = False) -> tuple[Submission, bool]:
        """The submission as it stands under this id, and whether it begins now: it does when it is new, when the one
        before it was REFUSED, or, with `again`, when its jobs were MADE."""
        ...

    def find_submission(self, submission_id: str) -> Submission | None:
        """The one with this id."""
        ...

    def find_submissions(self, study_uid: str = "", due: float | None = None) -> list[Submission]:
        """Newest first; with `due` those ASKED or FETCHED and to be looked at by then, oldest first."""
        ...

    def move_submission(
        self, submission: Submission, to: SubmissionState, answer: str, next_at: float, jobs: Sequence[str] = ()
    ) -> bool:
        """Compare-and-set on the state. False when it is no longer as it was read."""
        ...

    def add_jobs(self, study: Study, jobs: Sequence[Job], at: float, evidence: str) -> bool:
        """Jobs of a study that is closed, beside those that it has; one that is there already stays as it is. A study
        that was closed as gathered has `evidence` from now on. False when the study is no longer as it was read."""
        ...
