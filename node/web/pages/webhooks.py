"""`/webhooks`: who is told of what becomes of jobs, what waits for them, and what was given up."""

import time

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.config import Settings
from node.ledger import Ledger
from node.oversight.webhooks import list_hooks
from node.web.access.who import note
from node.web.dicomweb.problem import Problem
from node.web.pages.frame import Frame

MOST_DEAD = 20
"""Events that were given up, shown of each hook."""

SAID = {"resume": "The webhook is told again.", "retry": "What was given up waits again."}


class WebhookPages:
    """One page, two buttons."""

    def __init__(self, settings: Settings, ledger: Ledger, frame: Frame) -> None:
        self._settings = settings
        self._ledger = ledger
        self._frame = frame

    def show(self, request: Request) -> Response:
        """GET /webhooks"""
        rows = [(row, self._ledger.find_dead(row.name, MOST_DEAD)) for row in list_hooks(self._settings, self._ledger)]
        said = SAID.get(request.query_params.get("said", ""), "")
        return self._frame.render(request, "webhooks.html", rows=rows, rules=self._settings.webhooks, said=said)

    def resume(self, request: Request, _form: dict[str, str]) -> Response:
        """POST /webhooks/{hook}/resume"""
        return self._act(request, "resume")

    def retry(self, request: Request, _form: dict[str, str]) -> Response:
        """POST /webhooks/{hook}/retry"""
        return self._act(request, "retry")

    def _act(self, request: Request, action: str) -> Response:
        try:
            act_on_hook(self._ledger, request, action)
        except Problem as problem:
            return self._frame.refuse(request, problem)
        return RedirectResponse(f"/webhooks?said={action}", 303)


def act_on_hook(ledger: Ledger, request: Request, action: str) -> str:
    """ "resume" or "retry", as the command line does it; a sentence back. Raises Problem 404."""
    name = request.path_params["hook"]
    if name not in ledger.find_hooks():
        raise Problem(404, "there is no such webhook")
    note(request, hook=name)
    if action == "resume":
        ledger.resume_hook(name, time.time())
        return SAID[action]
    return f"Events that wait again: {ledger.revive_notices(name, time.time())}."
