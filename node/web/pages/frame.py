"""What every page stands in: navigation, who is logged in, the secret of its forms, and what keeps the node from work.

A page's block `live` can be asked for alone (?fragment=1): the script in static/ asks for it every two seconds.
"""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from node.model.role import Role
from node.web.access.who import find_who
from node.web.dicomweb.problem import Problem
from node.web.pages import words

HERE = Path(__file__).parent
STATIC = HERE / "static"
STALE = 5.0
"""Seconds for which what was found to be wrong is shown without looking again."""

NAVIGATION = {
    "/": "Jobs",
    "/studies": "Studies",
    "/submit": "Submit",
    "/queue": "Queue",
    "/worklist": "Worklist",
    "/workers": "Workers",
    "/peers": "Peers",
    "/webhooks": "Webhooks",
    "/routes": "Routes",
    "/pipelines": "Pipelines",
    "/quarantine": "Quarantine",
}


class Frame:
    """Renders templates. find_csrf: of a request's session, "" without one; find_troubles: what is wrong now."""

    def __init__(self, find_csrf: Callable[[Request], str], find_troubles: Callable[[], list[str]]) -> None:
        self._find_csrf = find_csrf
        self._troubles = _Remembered(find_troubles)
        self._environment = Environment(
            loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
        )
        self._environment.filters |= {
            "when": words.say_when,
            "iso": words.say_iso,
            "span": words.say_span,
            "ago": words.say_ago,
            "short": words.shorten,
            "size": words.say_size,
        }
        self._environment.globals["parts"] = self._environment.get_template("parts.html").module

    def render(self, request: Request, name: str, status: int = 200, **values: Any) -> Response:
        """The page of the template `name`, or its live part alone. address: where the live part is asked for again,
        for a page that is shown in answer to something else."""
        who = find_who(request)
        values = {"said": "", "trouble": "", "address": ""} | values
        values |= {"who": who, "csrf": self._find_csrf(request), "may": who.role.covers(Role.OPERATOR)}
        template = self._environment.get_template(name)
        if "fragment" in request.query_params:
            block = template.blocks["live"](template.new_context(values))
            return HTMLResponse("".join(block), headers={"Cache-Control": "no-store"})
        values |= {"navigation": NAVIGATION, "path": request.url.path, "troubles": self._troubles.get()}
        return HTMLResponse(template.render(values), status)

    def refuse(self, request: Request, problem: Problem) -> Response:
        """A page that says what is wrong."""
        return self.render(request, "refused.html", problem.status, problem=problem)


class _Remembered:
    """An answer that takes a while to find, and that many pages show."""

    def __init__(self, find: Callable[[], list[str]]) -> None:
        self._find = find
        self._lock = Lock()
        self._found: list[str] | None = None
        self._at = 0.0

    def get(self) -> list[str]:
        """One asks, the others take what was found last."""
        last = self._found  # read once: another thread may find the first answer meanwhile
        fresh = time.monotonic() - self._at < STALE
        if last is not None and (fresh or not self._lock.acquire(blocking=False)):
            return last
        if last is None:
            self._lock.acquire()
        try:
            self._found = found = self._find()
            self._at = time.monotonic()
        finally:
            self._lock.release()
        return found


def change_query(request: Request, **changes: str) -> str:
    """The query of this request with other values; "" removes one. Where the page begins is forgotten."""
    kept = {k: v for k, v in request.query_params.items() if k not in {"before", "after", "at", "fragment", "said"}}
    changed = {key: value for key, value in (kept | changes).items() if value}
    return "?" + urlencode(changed)
