"""A worker: one child process that answers the bell, and what it was last seen at."""

from dataclasses import dataclass

SILENT_BEATS = 3
"""A worker that missed so many beats is gone."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One row of the ledger.

    name: host/pid. lanes: those it serves. device: "cpu", "cuda:0".
    models: pipelines that are warm.
    memory_mb: resident memory of the process; reserved_mb: what torch holds of a GPU, 0 on the CPU.
    job_id: the job at hand, "" without one.
    started_at, seen_at: seconds since the epoch, UTC. beat_s: seconds until it is to be seen again.
    """

    name: str
    lanes: tuple[str, ...]
    device: str
    models: tuple[str, ...]
    memory_mb: float
    reserved_mb: float
    job_id: str
    started_at: float
    seen_at: float
    beat_s: float

    def is_gone(self, now: float) -> bool:
        """True when it was not seen for three beats."""
        return now - self.seen_at > SILENT_BEATS * self.beat_s
