"""`/submit`: a study is fetched from a peer and read, asked for in a form. `/submissions/{id}`: what became of it."""

from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.config import Settings
from node.ledger import Ledger
from node.web.access.who import note
from node.web.dicomweb.problem import Problem
from node.web.pages.frame import Frame
from node.web.submissions import submit_study
from pipelines.terms import find_manifests

ROUTE, PIPELINE = "route:", "pipeline:"
"""How a choice of the form begins, since a route and a pipeline may have one name."""


class SubmitPages:
    """The form, and one submission."""

    def __init__(self, settings: Settings, ledger: Ledger, frame: Frame) -> None:
        self._settings = settings
        self._ledger = ledger
        self._frame = frame

    def show_form(self, request: Request) -> Response:
        """GET /submit?study"""
        return self._render(request, {"study_uid": request.query_params.get("study", "")[:64]})

    def act(self, request: Request, form: dict[str, str]) -> Response:
        """POST /submit: to the submission's page, or the form again with what is wrong."""
        try:
            one, _ = submit_study(self._settings, self._ledger, _read(form))
        except Problem as problem:
            return self._render(request, form, problem)
        note(request, study=one.study_uid, peer=one.peer, submission=one.id)
        return RedirectResponse(f"/submissions/{one.id}", 303)

    def show(self, request: Request) -> Response:
        """GET /submissions/{submission}"""
        one = self._ledger.find_submission(request.path_params["submission"])
        if one is None:
            return self._frame.refuse(request, Problem(404, "there is no such submission"))
        jobs = self._ledger.find_named(one.jobs)
        return self._frame.render(
            request, "submission.html", one=one, jobs=[jobs[job] for job in one.jobs if job in jobs]
        )

    def _render(self, request: Request, asked: dict[str, str], problem: Problem | None = None) -> Response:
        return self._frame.render(
            request,
            "submit.html",
            problem.status if problem else 200,
            asked={name: asked.get(name, "") for name in ("study_uid", "from", "work", "again")},
            peers=sorted(name for name, peer in self._settings.peers.items() if peer.query),
            routes=[(ROUTE + route.name, route.name) for route in self._settings.routes],
            pipelines=[(PIPELINE + name, name) for name in sorted(find_manifests())],
            trouble=problem.detail if problem else "",
        )


def _read(form: dict[str, str]) -> dict[str, Any]:
    """As a program would say it."""
    work = form.get("work", "")
    body: dict[str, Any] = {"study_uid": form.get("study_uid", "").strip(), "from": form.get("from", "")}
    if work.startswith(ROUTE):
        body["route"] = work.removeprefix(ROUTE)
    elif work.startswith(PIPELINE):
        body["pipeline"] = work.removeprefix(PIPELINE)
    if form.get("again"):
        body["again"] = True
    return {name: value for name, value in body.items() if value}
