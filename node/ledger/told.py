"""The part of the ledger's port that tells other systems of tasks and results (HL7, FHIR). `MessageLedger` says how."""

from collections.abc import Sequence
from typing import Protocol

from node.model.job import State
from node.model.message import Message, MessageState


class Told(Protocol):
    """What each receiver is to be told, and how far that is."""

    def find_messages(self, job_id: str) -> list[Message]:
        """All of a job, by receiver."""
        ...

    def find_messages_due(self, destination: str, at: float, limit: int) -> list[Message]:
        """At most `limit` of those PENDING to be sent by `at`, those that wait longest first."""
        ...

    def find_untold(self, destination: str, states: Sequence[State], limit: int) -> list[Message]:
        """At most `limit` results WAITING whose job is in one of `states`, oldest first."""
        ...

    def draw_tasks(self, destination: str, at: float, limit: int) -> int:
        """Reads on in the history, at most `limit` lines, and has a TASK message wait for each job there whose route
        tells `destination`; the first time for each job that has not ended. Returns how many lines that were."""
        ...

    def find_untold_tasks(self, destination: str, limit: int) -> list[Message]:
        """At most `limit` tasks WAITING, oldest first."""
        ...

    def open_messages(self, waiting: Message, opened: Sequence[Message], at: float) -> bool:
        """`opened` in place of those of the same receiver, job and subject, in one step; one that is REFUSED from the
        first is a line of the job's history. False, and nothing is written, when `waiting` is no longer as read."""
        ...

    def move_message(self, message: Message, to: MessageState, answer: str, next_at: float, at: float) -> bool:
        """Compare-and-set on the state. What the receiver took or refused is a line of the job's history."""
        ...
