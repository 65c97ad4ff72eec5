"""The part of the ledger's port that the heartbeat of the workers writes. `WorkerLedger` says how."""

from typing import Protocol

from node.model.worker import Worker


class Hands(Protocol):
    """Who works at what, and how far it is."""

    def put_worker(self, worker: Worker) -> None:
        """In place of the row of the same name; workers not seen for a day are forgotten."""
        ...

    def remove_worker(self, name: str) -> None:
        """It ended as it should."""
        ...

    def find_workers(self, now: float) -> list[Worker]:
        """Those seen within a day, the gone among them, oldest first."""
        ...

    def note_progress(self, job_id: str, token: str, share: float, activity: str) -> bool:
        """How far the holder of the lease is. False, and nothing is written, when the lease is no longer ours."""
        ...
