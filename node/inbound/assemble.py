"""When is a study complete? On evidence, not by one timer.

In:  a study that is RECEIVING, and the associations that brought it.   Out: the evidence, or None (wait).
State: nothing is written here; `match` closes the study with its jobs in one step.
"""

from dataclasses import dataclass
from datetime import timedelta

from node.model.study import Study
from node.sections import Completeness

BROKEN = frozenset({"aborted", "lost"})


@dataclass(frozen=True, slots=True)
class Arrival:
    """An association that brought images of a study. ended_at is None while it is open."""

    caller: str
    opened_at: float
    ended_at: float | None
    how: str


def find_evidence(study: Study, arrivals: list[Arrival], rules: Completeness, now: float) -> str | None:
    """Why `study` counts as complete at `now`, or None.

    All its associations are released and `quiet` has passed since the last image: complete. One that is still open,
    or whose last one broke off, means that its sender may come again: `give_up` or `broken` ends that wait.
    """
    silent = now - study.last_at
    if any(arrival.ended_at is None for arrival in arrivals):
        return _give_up("an association stays open", silent, rules.give_up, arrivals)
    if arrivals and max(arrivals, key=lambda arrival: arrival.ended_at or 0).how in BROKEN:
        return _give_up("its sender broke off and did not come again", silent, rules.broken, arrivals)
    if silent < rules.quiet.total_seconds():
        return None
    return f"complete: {_describe(arrivals)}, no image for {silent:.1f} s"


def _give_up(why: str, silent: float, patience: timedelta, arrivals: list[Arrival]) -> str | None:
    if silent < patience.total_seconds():
        return None
    return f"gave up waiting: {why}, no image for {silent:.0f} s ({_describe(arrivals)}); the study may be incomplete"


def _describe(arrivals: list[Arrival]) -> str:
    if not arrivals:
        return "no association known"
    parts = []
    for how in ("released", "idle", "aborted", "lost", ""):
        count = sum(arrival.how == how for arrival in arrivals)
        if count:
            parts.append(f"{count} {how or 'open'}")
    return "associations " + ", ".join(parts)
