"""Who works at what: a row per worker, for the command line and for metrics."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from node.ledger import Ledger
from node.model.job import Job, State
from node.model.worker import Worker
from node.oversight.waiting import describe_progress

LANES = ("cpu", "gpu", "io")


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """seen, started: ISO 8601, UTC; silent_s: seconds since it was seen.

    activity: of the job at hand, "idle" without one, "gone" when it fell silent.
    """

    worker: str
    lanes: tuple[str, ...]
    device: str
    memory_mb: float
    reserved_mb: float
    models: tuple[str, ...]
    job_id: str
    activity: str
    seen: str
    silent_s: float
    started: str

    @property
    def is_gone(self) -> bool:
        return self.activity == "gone"

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def list_workers(ledger: Ledger, now: float) -> list[WorkerRow]:
    """Oldest first; those that fell silent within the last day stay listed."""
    jobs = {job.id: job for job in ledger.find_jobs(states=[State.CLAIMED])}
    return [_to_row(worker, jobs, now) for worker in ledger.find_workers(now)]


def count_there(ledger: Ledger, now: float) -> dict[str, int]:
    """Workers that are there, by lane: 0 where nobody serves it."""
    there = Counter(lane for one in ledger.find_workers(now) if not one.is_gone(now) for lane in one.lanes)
    return {lane: there[lane] for lane in LANES}


def _to_row(worker: Worker, jobs: Mapping[str, Job], now: float) -> WorkerRow:
    return WorkerRow(
        worker.name,
        worker.lanes,
        worker.device,
        worker.memory_mb,
        worker.reserved_mb,
        worker.models,
        worker.job_id,
        "gone" if worker.is_gone(now) else _find_activity(worker, jobs),
        _say_when(worker.seen_at),
        round(max(now - worker.seen_at, 0.0), 1),
        _say_when(worker.started_at),
    )


def _find_activity(worker: Worker, jobs: Mapping[str, Job]) -> str:
    """A job that was taken from its worker is none of it any more, until the worker has noticed."""
    if not worker.job_id:
        return "idle"
    job = jobs.get(worker.job_id)
    return (describe_progress(job) or "begins") if job else "ends"


def _say_when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
