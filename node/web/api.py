"""`/api/v1`: what the pages show and do, as JSON for programs; `openapi.json` beside this file describes it.

A program shows a token or a password. A browser's session must repeat its secret: X-CSRF-Token, from /api/v1/me.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from node.config import Settings
from node.ledger import Ledger
from node.model.job import Job
from node.oversight.overview import Row, list_rows
from node.oversight.peers import list_peers
from node.oversight.waiting import describe_job
from node.oversight.webhooks import list_hooks
from node.web.access.who import note
from node.web.body import read_bounded
from node.web.dicomweb.problem import Problem
from node.web.pages import actions
from node.web.pages.jobs import act_on, find_mentioned, list_page, read_turn, read_wanted, to_dict
from node.web.pages.peers import ask_peer
from node.web.pages.webhooks import act_on_hook
from node.web.refusal import answer_refusal
from node.web.submissions import describe_submission, submit_study

ROOT = "/api/v1"
OPENAPI = Path(__file__).with_name("openapi.json")
DEFAULT, MOST = 100, 1000
"""Jobs on a page."""

PAGING = frozenset({"limit", "before", "after", "state", "pipeline", "route", "peer", "text", "patient"})
"""Whoever says one of these gets a page of jobs; whoever says none gets everything, as ever."""

Body = dict[str, Any]


class Api:
    """Answers to programs."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger

    def make_routes(self) -> list[BaseRoute]:
        """All addresses, behind the guard."""
        read: dict[str, Callable[[Request], Response]] = {
            "/jobs": self.list_jobs,
            "/jobs/{job}": self.show_job,
            "/submissions/{submission}": self.show_submission,
            "/peers": self.list_peers,
            "/webhooks": self.list_hooks,
            "/openapi.json": lambda _request: FileResponse(OPENAPI, media_type="application/json"),
        }
        done: dict[str, Callable[[Request, Body], Response]] = {
            "/jobs/{job}/{action}": self.act,
            "/studies": self.submit,
            "/studies/{study}/complete": self.complete,
            "/peers/{peer}/echo": self.echo,
            "/webhooks/{hook}/resume": self.resume_hook,
            "/webhooks/{hook}/retry": self.retry_hook,
        }
        return [
            *(Route(ROOT + path, _refusing(answer), methods=["GET"]) for path, answer in read.items()),
            *(Route(ROOT + path, _with_body(act), methods=["POST"]) for path, act in done.items()),
        ]

    def list_jobs(self, request: Request) -> Response:
        """GET /jobs: everything, or a page with Link headers (RFC 8288) to the next and the previous one."""
        if not PAGING & set(request.query_params):
            return JSONResponse([row.to_dict() for row in list_rows(self._ledger)])
        jobs, older, newer = list_page(self._ledger, read_wanted(request), read_turn(request), _read_limit(request))
        links = [("next", "before", older), ("prev", "after", newer)]
        told = ", ".join(f'<{_turn(request, key, place)}>; rel="{rel}"' for rel, key, place in links if place)
        return JSONResponse(self._find_rows(jobs), headers={"Link": told} if told else None)

    def show_job(self, request: Request) -> Response:
        """GET /jobs/{job}"""
        return JSONResponse(self._describe(actions.get_job(self._ledger, request.path_params["job"])))

    def act(self, request: Request, body: Body) -> Response:
        """POST /jobs/{job}/retry | cancel | resend | priority"""
        job = actions.get_job(self._ledger, request.path_params["job"])
        act_on(self._ledger, self._settings, request, job, {key: str(value) for key, value in body.items()})
        return JSONResponse(self._describe(self._ledger.get_job(job.id)))

    def complete(self, request: Request, _body: Body) -> Response:
        """POST /studies/{study}/complete"""
        study = actions.get_study(self._ledger, request.path_params["study"])
        note(request, study=study.study_uid)
        said = actions.complete(self._ledger, study)
        return JSONResponse({"study_uid": study.study_uid, "said": said}, 202)

    def submit(self, request: Request, body: Body) -> Response:
        """POST /studies: fetched from a peer and read; 202, or 200 where that was asked for before."""
        one, begins = submit_study(self._settings, self._ledger, body)
        note(request, study=one.study_uid, peer=one.peer, submission=one.id)
        headers = {"Location": f"{ROOT}/submissions/{one.id}"}
        return JSONResponse(describe_submission(one, ROOT), 202 if begins else 200, headers)

    def show_submission(self, request: Request) -> Response:
        """GET /submissions/{submission}"""
        one = self._ledger.find_submission(request.path_params["submission"])
        if one is None:
            raise Problem(404, "there is no such submission")
        return JSONResponse(describe_submission(one, ROOT))

    def list_peers(self, _request: Request) -> Response:
        """GET /peers"""
        return JSONResponse([row.to_dict() for row in list_peers(self._settings, self._ledger)])

    def echo(self, request: Request, _body: Body) -> Response:
        """POST /peers/{peer}/echo"""
        return JSONResponse({"said": ask_peer(self._settings, self._ledger, request.path_params["peer"])})

    def list_hooks(self, _request: Request) -> Response:
        """GET /webhooks"""
        return JSONResponse([row.to_dict() for row in list_hooks(self._settings, self._ledger)])

    def resume_hook(self, request: Request, _body: Body) -> Response:
        """POST /webhooks/{hook}/resume"""
        return JSONResponse({"said": act_on_hook(self._ledger, request, "resume")})

    def retry_hook(self, request: Request, _body: Body) -> Response:
        """POST /webhooks/{hook}/retry"""
        return JSONResponse({"said": act_on_hook(self._ledger, request, "retry")})

    def _describe(self, job: Job) -> dict[str, Any]:
        ledger = self._ledger
        deliveries = [asdict(one) for one in ledger.find_deliveries(job.id)]
        for one in deliveries:
            one["object"].pop("path")
        return to_dict(job, describe_job(job, find_mentioned(ledger, [job]))) | {
            "history": [asdict(event) for event in ledger.find_history(job.id)],
            "deliveries": deliveries,
            "messages": [asdict(one) for one in ledger.find_messages(job.id)],
        }

    def _find_rows(self, jobs: list[Job]) -> list[dict[str, str]]:
        """With the same keys as the whole list has."""
        named = find_mentioned(self._ledger, jobs)
        studies = {uid: self._ledger.find_study(uid) for uid in {job.study_uid for job in jobs}}
        rows = []
        for job in jobs:
            study = studies[job.study_uid]
            evidence = study.evidence if study and study.version == job.version else ""
            since = datetime.fromtimestamp(job.created_at, UTC).isoformat(timespec="seconds")
            said = describe_job(job, named), job.created_at, "" if evidence in job.reason else evidence
            rows.append(Row(str(job.state), job.pipeline, job.study_uid, job.id, since, *said).to_dict())
        return rows


def _read_limit(request: Request) -> int:
    text = request.query_params.get("limit", str(DEFAULT))
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise Problem(400, f"limit is a number from 1 to {MOST}")
    return int(text)


def _turn(request: Request, key: str, place: str) -> str:
    kept = {name: value for name, value in request.query_params.items() if name not in {"before", "after"}}
    return f"{request.url.path}?{urlencode(kept | {key: place})}"


def _refusing(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    def answered(request: Request) -> Response:
        try:
            return answer(request)
        except Problem as problem:
            return answer_refusal(request, problem)

    return answered


def _with_body(act: Callable[[Request, Body], Response]) -> Callable[[Request], Awaitable[Response]]:
    """Reads a JSON object, or nothing, then acts on a thread."""

    async def answer(request: Request) -> Response:
        try:
            return await run_sync(act, request, await _read_body(request))
        except Problem as problem:
            return answer_refusal(request, problem)

    return answer


async def _read_body(request: Request) -> Body:
    text = await read_bounded(request)
    try:
        body = json.loads(text or b"{}")
    except ValueError:
        raise Problem(400, "the body is no JSON") from None
    if not isinstance(body, dict):
        raise Problem(400, "the body is no JSON object")
    return body
