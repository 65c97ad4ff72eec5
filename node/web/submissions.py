"""A study is submitted by its uid: what a program says, what is written down, and where it finds what came of it."""

import re
import time
from typing import Any

from node.config import Settings
from node.inbound.submit import make_submission
from node.ledger import Ledger
from node.model.submission import Submission
from node.web.dicomweb.problem import Problem
from pipelines.terms import find_manifests

UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
KEYS = frozenset({"study_uid", "from", "route", "pipeline", "again"})


def submit_study(settings: Settings, ledger: Ledger, body: dict[str, Any]) -> tuple[Submission, bool]:
    """The submission, and whether it begins now rather than being known. Raises Problem 400, 404."""
    asked = read_submission(settings, body)
    return ledger.submit(asked, again=body.get("again") is True)


def read_submission(settings: Settings, body: dict[str, Any]) -> Submission:
    """What `body` asks for. Raises Problem 400 for what makes no sense, 404 for a name that is not there."""
    if unknown := sorted(set(body) - KEYS):
        raise Problem(400, f"{unknown[0][:64]!r} is none of {', '.join(sorted(KEYS))}")
    study, peer, route, pipeline = (_read(body, key) for key in ("study_uid", "from", "route", "pipeline"))
    if not isinstance(body.get("again", False), bool):
        raise Problem(400, "again is true or false")
    if not UID.fullmatch(study) or len(study) > 64:
        raise Problem(400, "study_uid is a Study Instance UID")
    if bool(route) == bool(pipeline):
        raise Problem(400, "name either a route or a pipeline")
    if peer not in settings.peers or not settings.peers[peer].query:
        able = ", ".join(sorted(name for name, one in settings.peers.items() if one.query)) or "none"
        raise Problem(404, f"from names no peer with query = true; there are: {able}")
    if route and route not in {one.name for one in settings.routes}:
        raise Problem(404, "there is no such route")
    if pipeline and pipeline not in find_manifests():
        raise Problem(404, "there is no such pipeline")
    return make_submission(study, peer, route, pipeline, time.time())


def describe_submission(one: Submission, root: str) -> dict[str, Any]:
    """For JSON. root: of the addresses under which its jobs are."""
    return {
        "id": one.id,
        "study_uid": one.study_uid,
        "from": one.peer,
        "route": one.route,
        "pipeline": one.pipeline,
        "state": one.state,
        "said": one.answer,
        "asked_at": one.asked_at,
        "jobs": [{"id": job, "href": f"{root}/jobs/{job}"} for job in one.jobs],
    }


def _read(body: dict[str, Any], key: str) -> str:
    value = body.get(key, "")
    if not isinstance(value, str) or (key in body and not value):
        raise Problem(400, f"{key} is a text, and not an empty one")
    return value
