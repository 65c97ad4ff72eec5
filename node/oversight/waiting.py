"""Why a job is not running, or how far it is, and what became of its result: a sentence for people."""

import time
from collections.abc import Mapping
from datetime import datetime

from node.model.job import Gathering, Job, State

MADE = (State.ENCODED, State.DELIVERED, State.CONFIRMED)


def describe_job(job: Job, jobs: Mapping[str, Job], now: float | None = None) -> str:
    """The reason that the ledger has; of a QUEUED job what it waits for, of a CLAIMED one how far it is; and which job
    replaced it. jobs: by id."""
    words = [job.reason] if job.reason else []
    if job.state == State.QUEUED:
        words += _find_waits(job, jobs, time.time() if now is None else now)
    if told := describe_progress(job):
        words.append(told)
    if job.superseded_by and "superseded" not in job.reason:
        later = jobs.get(job.superseded_by)
        version = f"version {later.version}, " if later else ""
        words.append(f"superseded by {version}job {job.superseded_by[:12]}")
    return "; ".join(words)


def describe_progress(job: Job) -> str:
    """What the worker of a CLAIMED job last said: "load", "run 40 % resample"; "" before it said anything."""
    station, _, word = job.activity.partition(" ")
    if job.state != State.CLAIMED or not station:
        return ""
    return " ".join(part for part in (station, f"{job.progress:.0%}".replace("%", " %") if word else "", word) if part)


def _find_waits(job: Job, jobs: Mapping[str, Job], now: float) -> list[str]:
    waits = []
    if job.not_before > now:
        waits.append(f"waits until {_say_when(job.not_before, now)}")
    if job.gathering == Gathering.ASKING and job.ready_at > now:
        waits.append("waits for priors or missing images")
    before = jobs.get(job.after)
    if before is not None and before.state not in MADE:
        waits.append(f"waits for {before.pipeline}, job {before.id[:12]}, which is {before.state}")
    return waits


def _say_when(at: float, now: float) -> str:
    """By the clock of this machine; with the day when that is another."""
    then = datetime.fromtimestamp(at)
    today = then.date() == datetime.fromtimestamp(now).date()
    return then.strftime("%H:%M" if today else "%a %Y-%m-%d %H:%M")
