"""The addresses below /results, and who answers them.

/results/{job}                    the page of a result
/results/{job}/slice/{k}.png      slice k (from 1): window, overlay, opacity, map
/results/{job}/montage.png        a contact sheet
/results/static/{file}            style and script
"""

import hashlib
import logging
from collections.abc import Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from node.config import Settings
from node.errors import WetreadError
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.web.dicomweb.problem import Problem, answer_problem
from node.web.results.album import Album
from node.web.results.cabinet import Cabinet, Outcome
from node.web.results.heat import Heat
from node.web.results.montage import draw_montage
from node.web.results.page import STATIC, Pages, find_title, read_view
from node.web.results.picture import Look, draw_slice
from node.web.viewer.install import find_viewer
from node.web.viewer.link import Link

log = logging.getLogger(__name__)

PICTURE_HEADERS = {"Cache-Control": "private, max-age=600"}
DRAWN_AS = 2
"""Counts up when pictures are drawn otherwise, so that no browser keeps the old ones."""


class Results:
    """Pages and pictures of the results of one node."""

    def __init__(self, settings: Settings, ledger: Ledger, spool: Spool) -> None:
        self.cabinet = Cabinet(settings, ledger, spool)
        self._pages = Pages()
        self._link = Link(settings.web, find_viewer(settings.node.home) is not None)

    def show_page(self, request: Request) -> Response:
        """HTML, 404 where there is no such job."""
        outcome = self._find(request)
        album = self.cabinet.find_album(outcome)
        viewers, heats = self._link.find(request, outcome), self.cabinet.find_heats(outcome)
        return HTMLResponse(self._pages.show(outcome, album, read_view(request.query_params), viewers, heats))

    def show_slice(self, request: Request) -> Response:
        """PNG; 304 when the browser has it."""
        outcome, view = self._find(request), read_view(request.query_params)
        album = self._get_album(outcome)
        k = int(request.path_params["k"])
        if not 1 <= k <= len(album.slices):
            raise Problem(404, f"there are slices 1 to {len(album.slices)}")
        parts = (str(k), view.window, str(view.overlay), str(view.opacity), str(view.map))
        return _answer(request, outcome, parts, lambda: self._draw_slice(outcome, album, k - 1, request))

    def show_montage(self, request: Request) -> Response:
        """PNG; 304 when the browser has it."""
        outcome, view = self._find(request), read_view(request.query_params)
        album = self._get_album(outcome)
        key = ("montage", outcome.job.id, outcome.mark, view.window)

        def draw() -> bytes:
            limits = self.cabinet.find_limits(outcome, album, view.window)
            title = find_title(outcome)
            return draw_montage(album, outcome.reading, title, limits, lambda k: self.cabinet.read_values(album, k))

        return _answer(request, outcome, ("montage", view.window), lambda: self.cabinet.shelf.get(key, draw, len))

    def refuse(self, request: Request, error: Exception) -> Response:
        """A page for people, a problem document for programs and pictures."""
        problem = _to_problem(error)
        if request.url.path.endswith(".png") or "text/html" not in request.headers.get("accept", ""):
            return answer_problem(request, problem)
        return HTMLResponse(self._pages.refuse(problem), problem.status)

    def _find(self, request: Request) -> Outcome:
        return self.cabinet.find_outcome(request.path_params["job_id"])

    def _get_album(self, outcome: Outcome) -> Album:
        album = self.cabinet.find_album(outcome)
        if not album.slices:
            raise Problem(410 if album.missing else 404, "there are no images of this result")
        return album

    def _draw_slice(self, outcome: Outcome, album: Album, k: int, request: Request) -> bytes:
        view, one = read_view(request.query_params), album.slices[k]
        look = Look(self.cabinet.find_limits(outcome, album, view.window), view.overlay, view.opacity / 100)
        read = album.masks.read(one.segmented) if album.masks and view.overlay else []
        parts = [(mask, segment.color) for segment, mask in read]
        caption = f"{one.caption} ({k + 1}/{len(album.slices)})".lstrip()
        shares = self._find_heat(outcome, view.map).read(one.place) if view.map else None
        return draw_slice(self.cabinet.read_values(album, k), one.plane, parts, look, one.sides, caption, shares)

    def _find_heat(self, outcome: Outcome, number: int) -> Heat:
        heats = self.cabinet.find_heats(outcome)
        if not number <= len(heats):
            raise Problem(404, f"there are maps 1 to {len(heats)}" if heats else "there are no maps of this result")
        return heats[number - 1]


def make_results(results: Results) -> Starlette:
    """The application for /results."""
    routes = [
        Mount("/static", StaticFiles(directory=STATIC)),
        Route("/{job_id}", results.show_page, methods=["GET"]),
        Route("/{job_id}/slice/{k:int}.png", results.show_slice, methods=["GET"]),
        Route("/{job_id}/montage.png", results.show_montage, methods=["GET"]),
    ]
    kinds: tuple[type[Exception], ...] = (WetreadError, HTTPException, Exception)
    return Starlette(routes=routes, exception_handlers=dict.fromkeys(kinds, results.refuse))


def _answer(request: Request, outcome: Outcome, parts: tuple[str, ...], draw: Callable[[], bytes]) -> Response:
    words = "\0".join((outcome.job.id, outcome.mark, str(DRAWN_AS), *parts))
    tag = f'"{hashlib.sha256(words.encode()).hexdigest()[:32]}"'
    headers = PICTURE_HEADERS | {"ETag": tag}
    known = [one.strip().removeprefix("W/") for one in request.headers.get("if-none-match", "").split(",")]
    if tag in known:
        return Response(status_code=304, headers=headers)
    return Response(draw(), media_type="image/png", headers=headers)


def _to_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return Problem(error.status_code, error.detail)
    if not isinstance(error, WetreadError):
        log.error("a page of a result failed: %s", type(error).__name__)
    return Problem(500, str(error) if isinstance(error, WetreadError) else "the node failed")
