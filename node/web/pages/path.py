"""A job's way through the house, told by its history: which station it reached when, and how long that took."""

from collections.abc import Sequence
from dataclasses import dataclass

from node.model.job import Event, Job, State

MAIN = (State.QUEUED, State.CLAIMED, State.ENCODED, State.DELIVERED, State.CONFIRMED)

MEANINGS = {
    State.QUEUED: "waits for a worker",
    State.CLAIMED: "a worker computes",
    State.ENCODED: "results lie in the outbox",
    State.DELIVERED: "every destination took them",
    State.CONFIRMED: "every destination keeps them",
    State.FAILED: "ended without, the inputs are kept",
    State.CANCELED: "nothing will be sent",
}


@dataclass(frozen=True, slots=True)
class Station:
    """One stop. at: when it was last reached (epoch seconds), None when it was not yet; seconds: since the stop
    before; here: the job is there now."""

    state: State
    meaning: str
    at: float | None
    seconds: float | None
    here: bool


def find_path(job: Job, history: Sequence[Event]) -> list[Station]:
    """The stops of the job's present try, and those that lie before it. A job that ended early shows where."""
    reached = _find_reached(history)
    stops = list(MAIN)
    if job.state not in MAIN:
        stops = [state for state in MAIN if state in reached] + [job.state]
    stations: list[Station] = []
    before: float | None = None
    for state in stops:
        at = reached.get(state)
        seconds = None if at is None or before is None else at - before
        stations.append(Station(state, MEANINGS[state], at, seconds, state == job.state))
        before = at if at is not None else before
    return stations


def _find_reached(history: Sequence[Event]) -> dict[State, float]:
    """When each state was last entered. Going back forgets what came after: that is yet to come again."""
    reached: dict[State, float] = {}
    last = None
    for event in history:
        if event.state != last:
            if event.state in MAIN:
                later = (*MAIN[MAIN.index(event.state) :], State.FAILED, State.CANCELED)
                reached = {state: at for state, at in reached.items() if state not in later}
            reached[event.state] = event.at
        last = event.state
    return reached
