"""`/`: all jobs, a page at a time. `/jobs/{id}`: one job, its way, its objects, and what can be done about it."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.config import Settings
from node.ledger import Ledger
from node.model.job import Job, Priority, State
from node.model.listing import Turn, Wanted
from node.model.study import StudyState
from node.oversight.waiting import describe_job
from node.web.access.who import note
from node.web.dicomweb.problem import Problem
from node.web.pages import actions
from node.web.pages.frame import Frame, change_query
from node.web.pages.path import find_path

PAGE = 50
PLACE = re.compile(r"(?P<at>[0-9]{1,12}(\.[0-9]{1,20})?)(,(?P<key>.*))?")
MOST_OPEN = 5
"""Studies that still arrive, shown above the jobs."""


class JobPages:
    """The list and the single job."""

    def __init__(self, settings: Settings, ledger: Ledger, frame: Frame) -> None:
        self._settings = settings
        self._ledger = ledger
        self._frame = frame

    def show_list(self, request: Request) -> Response:
        """GET /"""
        try:
            wanted, turn = read_wanted(request), read_turn(request)
        except Problem as problem:
            return self._frame.refuse(request, problem)
        jobs, older, newer = list_page(self._ledger, wanted, turn, PAGE)
        named = find_mentioned(self._ledger, jobs)
        opened = self._ledger.list_studies(StudyState.RECEIVING, "", None, MOST_OPEN + 1)
        counts = self._ledger.count_states()
        states = {"": "All"} | {state.value: state.value for state in State}
        return self._frame.render(
            request,
            "jobs.html",
            rows=[(job, describe_job(job, named)) for job in jobs],
            opened=opened[:MOST_OPEN],
            more_opened=len(opened) > MOST_OPEN,
            counts={"": sum(counts.values())} | {state.value: number for state, number in counts.items()},
            tabs=[(state, label, change_query(request, state=state)) for state, label in states.items()],
            wanted=wanted,
            older=change_query(request, before=older) if older else "",
            newer=change_query(request, after=newer) if newer else "",
            choices=self._find_choices(),
        )

    def show(self, request: Request) -> Response:
        """GET /jobs/{id}"""
        try:
            job = actions.get_job(self._ledger, request.path_params["job"])
        except Problem as problem:
            return self._frame.refuse(request, problem)
        return self._render(request, job)

    def act(self, request: Request, form: dict[str, str]) -> Response:
        """POST /jobs/{id}/{action}: back to the page with what was done, or the page with why not."""
        try:
            job = actions.get_job(self._ledger, request.path_params["job"])
        except Problem as problem:
            return self._frame.refuse(request, problem)
        try:
            said = act_on(self._ledger, self._settings, request, job, form)
        except Problem as problem:
            return self._render(request, self._ledger.get_job(job.id), problem)
        return RedirectResponse(f"/jobs/{job.id}?said={said}", 303)

    def _render(self, request: Request, job: Job, problem: Problem | None = None) -> Response:
        siblings = self._ledger.find_jobs(job.study_uid)
        history = self._ledger.find_history(job.id)
        deliveries = self._ledger.find_deliveries(job.id)
        said = request.query_params.get("said", "")
        return self._frame.render(
            request,
            "job.html",
            problem.status if problem else 200,
            address=f"/jobs/{job.id}",
            job=job,
            reason=describe_job(job, {one.id: one for one in siblings}),
            stations=find_path(job, history),
            history=history,
            objects=self._ledger.find_objects(job.id),
            deliveries=deliveries,
            messages=self._ledger.find_messages(job.id),
            destinations=sorted({one.destination for one in deliveries}),
            siblings=[one for one in siblings if one.id != job.id],
            possible=actions.find_possible(job),
            priorities=list(Priority),
            said=SAID.get(said, ""),
            trouble=problem.detail if problem else "",
        )

    def _find_choices(self) -> dict[str, list[str]]:
        routes = self._settings.routes
        return {
            "pipeline": sorted({route.pipeline for route in routes}),
            "route": [route.name for route in routes],
            "peer": sorted(self._settings.peers),
        }


SAID = {
    "retry": "The job is queued again.",
    "cancel": "The job is canceled.",
    "resend": "The results will be sent again.",
    "priority": "The job has another priority now.",
}
"""What the page says after an action: no words of an address are ever shown."""


def act_on(ledger: Ledger, settings: Settings, request: Request, job: Job, form: dict[str, str]) -> str:
    """Does what the address asks, and has the audit say it; the action's name. Raises Problem."""
    action = request.path_params["action"]
    note(request, job=job.id, study=job.study_uid, was=f"{job.state} {job.priority}")
    if action == "retry":
        actions.retry(ledger, job)
    elif action == "cancel":
        actions.cancel(ledger, job)
    elif action == "resend":
        actions.resend(ledger, job, settings.outbox, form.get("peer", ""))
        note(request, peer=form.get("peer", "") or "all")
    elif action == "priority":
        actions.set_priority(ledger, job, form.get("to", ""))
        note(request, to=form["to"])
    else:
        raise Problem(404, "there is no such action")
    return str(action)


def read_wanted(request: Request) -> Wanted:
    """What the query asks of jobs. Raises Problem 400 for a state that there is not."""
    said = request.query_params
    state = said.get("state", "")
    if state and state not in set(State):
        raise Problem(400, f"state is one of {', '.join(State)}")
    names = ("pipeline", "route", "peer", "text", "patient")
    return Wanted(State(state) if state else None, *(said.get(name, "").strip() for name in names))


def read_turn(request: Request) -> Turn | None:
    """Where the page begins: before=AT,ID, or else after=AT,ID. Raises Problem 400."""
    turns = []
    for name in ("before", "after"):
        if text := request.query_params.get(name):
            place = PLACE.fullmatch(text)
            if place is None:
                raise Problem(400, f"{name} is a place that an earlier page named")
            turns.append(Turn(float(place["at"]), place["key"] or "", newer=name == "after"))
    return turns[0] if turns else None


def list_page(ledger: Ledger, wanted: Wanted, turn: Turn | None, limit: int) -> tuple[list[Job], str, str]:
    """(jobs, where the older ones begin, where the newer ones begin); "" where there are none."""
    jobs = ledger.list_jobs(wanted, turn, limit + 1)
    more, newer = len(jobs) > limit, turn is not None and turn.newer
    jobs = jobs[-limit:] if newer else jobs[:limit]
    if not jobs:
        return [], "", ""
    first, last = (f"{job.created_at!r},{job.id}" for job in (jobs[0], jobs[-1]))
    older = last if more or newer else ""
    return jobs, older, first if (more if newer else turn is not None) else ""


def find_mentioned(ledger: Ledger, jobs: list[Job]) -> dict[str, Job]:
    """The jobs that sentences about `jobs` name, by id."""
    return ledger.find_named({job.after for job in jobs} | {job.superseded_by for job in jobs})


def to_dict(job: Job, reason: str) -> dict[str, Any]:
    """A job for JSON. Times are seconds since the epoch, UTC."""
    return {
        "id": job.id,
        "state": job.state.value,
        "reason": reason,
        "study_uid": job.study_uid,
        "series_uids": list(job.series_uids),
        "version": job.version,
        "route": job.route,
        "pipeline": job.pipeline,
        "priority": job.priority.value,
        "lane": job.lane,
        "attempt": job.attempt,
        "deliver": list(job.deliver),
        "tell": list(job.tell),
        "created_at": job.created_at,
        "notes": list(job.notes),
        "superseded_by": job.superseded_by,
        "possible": sorted(actions.find_possible(job)),
    }
