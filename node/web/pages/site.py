"""Which address shows which page."""

from collections.abc import Awaitable, Callable

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from node.config import Settings
from node.ledger import Ledger
from node.oversight.health import find_troubles
from node.web.body import read_form
from node.web.dicomweb.problem import Problem
from node.web.pages.frame import STATIC, Frame
from node.web.pages.jobs import JobPages
from node.web.pages.known import Knowledge
from node.web.pages.patient import PatientSearch
from node.web.pages.peers import PeerPages
from node.web.pages.pipelines import PipelinePages
from node.web.pages.queue import QueuePages
from node.web.pages.routes import RoutePages
from node.web.pages.studies import StudyPages
from node.web.pages.submit import SubmitPages
from node.web.pages.webhooks import WebhookPages
from node.web.pages.worklist import WorklistPage
from node.worklist import Worklist

Act = Callable[[Request, dict[str, str]], Response]


def make_pages(
    settings: Settings,
    ledger: Ledger,
    find_csrf: Callable[[Request], str],
    find_modalities: Callable[[str], dict[str, str]],
    find_numbered: Callable[[str], list[str]],
    worklist: Worklist,
) -> list[BaseRoute]:
    """All pages, to stand behind the guard. find_csrf, find_modalities, find_numbered: as `Frame`, `StudyPages` and
    `PatientSearch` have it."""
    frame = Frame(find_csrf, lambda: find_troubles(settings, ledger))
    jobs, peers = JobPages(settings, ledger, frame), PeerPages(settings, ledger, frame)
    studies = StudyPages(ledger, frame, find_modalities)
    hooks = WebhookPages(settings, ledger, frame)
    queue, routes = QueuePages(ledger, frame), RoutePages(settings, frame)
    knowledge = Knowledge(settings, ledger, find_modalities)
    submit = SubmitPages(settings, ledger, frame)
    shown = {
        "/": jobs.show_list,
        "/jobs/{job}": jobs.show,
        "/studies": studies.show_list,
        "/studies/{study}": studies.show,
        "/submit": submit.show_form,
        "/submissions/{submission}": submit.show,
        "/queue": queue.show_queue,
        "/worklist": WorklistPage(worklist, frame, knowledge.find, sorted(settings.peers)).show,
        "/workers": queue.show_workers,
        "/quarantine": queue.show_quarantine,
        "/peers": peers.show,
        "/webhooks": hooks.show,
        "/routes": routes.show,
        "/pipelines": PipelinePages(frame).show,
    }
    acts: dict[str, Act] = {
        "/patient": PatientSearch(settings, find_numbered).find,
        "/submit": submit.act,
        "/jobs/{job}/{action}": jobs.act,
        "/studies/{study}/complete": studies.act,
        "/peers/{peer}/echo": peers.act,
        "/webhooks/{hook}/resume": hooks.resume,
        "/webhooks/{hook}/retry": hooks.retry,
    }
    return [
        *(Route(path, answer, methods=["GET"]) for path, answer in shown.items()),
        *(Route(path, _with_form(frame, act), methods=["POST"]) for path, act in acts.items()),
        Route("/routes/try", routes.act, methods=["POST"]),
        Mount("/static", StaticFiles(directory=STATIC), name="static"),
    ]


def _with_form(frame: Frame, act: Act) -> Callable[[Request], Awaitable[Response]]:
    """Reads the form, then acts on a thread: the ledger waits for the disk."""

    async def answer(request: Request) -> Response:
        try:
            form = await read_form(request)
        except Problem as problem:
            refused = problem
            return await run_sync(lambda: frame.refuse(request, refused))
        return await run_sync(act, request, form)

    return answer
