"""The part of the ledger's port that knows what is said of studies. `ExpectationLedger` and `StepLedger` say how."""

from collections.abc import Sequence
from typing import Protocol

from node.model.expectation import Expectation, Question, StepState, Tally
from node.model.study import Study


class Evidence(Protocol):
    """What is expected of studies that are RECEIVING."""

    def find_expectations(self) -> list[Expectation]:
        """Of all studies that are RECEIVING."""
        ...

    def put_expectation(self, expectation: Expectation) -> None:
        """In place of the one of the same study, kind and source."""
        ...

    def announce(
        self,
        study_uid: str,
        notification_uid: str,
        caller: str,
        instances: Sequence[str],
        gone: Sequence[str],
        at: float,
    ) -> bool:
        """`caller` names SOP instances of a study, in addition to those named before; those in `gone` are not to be had
        any more. False, and nothing is written, when the notification is known."""
        ...

    def begin_step(self, uid: str, study_uids: Sequence[str], images: Sequence[str], at: float) -> bool:
        """The performed procedure step `uid` on these studies is IN PROGRESS and has made these SOP instances. False,
        and nothing is written, when the step is known."""
        ...

    def set_step(self, uid: str, state: StepState | None, images: Sequence[str] | None, at: float) -> StepState | None:
        """Its state before, None when it is not known. One that is IN PROGRESS is in `state` from now on, and what it
        has made are `images`; None leaves either as it is. Another changes no more."""
        ...

    def tally(self, study_uid: str, series_uids: Sequence[str] = ()) -> Tally:
        """What is here of a study, or of some of its series, and what of it was announced."""
        ...

    def find_questions(self, caller: str, source: str, now: float, silent: float, limit: int) -> list[Question]:
        """Studies whose associations by `caller` have all ended, or that got no image for `silent` seconds, of which
        the peer `source` was not asked since, or is to be asked again by `now`; those that wait longest first."""
        ...

    def note_wait(self, study: Study, text: str) -> None:
        """For what a study that is RECEIVING waits."""
        ...

    def forget_expectations(self, before: float) -> None:
        """What was said before then, but of studies that are RECEIVING."""
        ...
