"""The web role: health for orchestrators, metrics for Prometheus, pages for people, JSON and DICOMweb for programs."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from node.config import Settings
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.oversight.health import find_troubles
from node.oversight.metrics import render_metrics
from node.web.access.entrance import Entrance
from node.web.api import Api
from node.web.dicomweb.accession import find_by_accession
from node.web.dicomweb.desk import Desk
from node.web.dicomweb.origins import make_cors
from node.web.dicomweb.service import Reading, make_dicomweb
from node.web.dicomweb.stow import Stow
from node.web.pages.site import make_pages
from node.web.pages.studies import read_modalities
from node.web.results.service import Results, make_results
from node.web.viewer.install import find_viewer
from node.web.viewer.service import Port, make_viewer
from node.web.worklist.channel import Channels
from node.web.worklist.service import SERVICES, Workitems
from node.worklist import Worklist

DICOMWEB = "/dicom-web"


def make_web(settings: Settings, ledger: Ledger, spool: Spool) -> Starlette:
    """The ASGI application: pages that read the ledger, DICOMweb, and the guard before them. Raises ConfigError."""
    entrance = Entrance(settings)
    desk = Desk(settings, spool, ledger)
    stow = Stow(settings, desk, DICOMWEB)
    worklist = Worklist(settings.node.home)
    channels = Channels(worklist, DICOMWEB)
    reading = Reading(settings, ledger, spool, DICOMWEB, SERVICES)

    def live(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    def ready(_request: Request) -> Response:
        troubles = find_troubles(settings, ledger)
        return PlainTextResponse("\n".join(troubles or ["ready"]) + "\n", status_code=503 if troubles else 200)

    def metrics(_request: Request) -> Response:
        text = render_metrics(ledger, spool.free_mb() * 1e6)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    addresses = {"/healthz": live, "/readyz": ready, "/metrics": metrics}
    folder = find_viewer(settings.node.home)
    routes: list[BaseRoute] = []
    if folder:
        viewer = make_viewer(folder, make_dicomweb(reading), DICOMWEB, entrance.routes)
        routes.append(Port(settings.web.viewer_port, viewer))
    routes += [Route(path, answer) for path, answer in addresses.items()]
    routes += [Route(DICOMWEB + path, stow.store, methods=["POST"]) for path in ("/studies", "/studies/{study}")]
    routes += [*Workitems(settings, worklist, DICOMWEB).make_routes(), *channels.make_routes()]
    routes.append(Mount(DICOMWEB, make_dicomweb(reading)))
    routes.append(Mount("/results", make_results(Results(settings, ledger, spool))))
    find_modalities = partial(read_modalities, reading.index)

    def find_numbered(number: str) -> list[str]:
        return find_by_accession(reading.index.connection, number)

    routes += make_pages(settings, ledger, entrance.find_csrf, find_modalities, find_numbered, worklist)
    routes += Api(settings, ledger).make_routes()
    routes += entrance.routes

    @asynccontextmanager
    async def live_on(_app: Starlette) -> AsyncIterator[None]:
        desk.start()
        reading.start()
        channels.start()
        yield
        channels.stop()
        reading.stop()
        desk.stop()
        worklist.close()

    middleware = [*make_cors(settings.web.origins), entrance.middleware]
    return Starlette(routes=routes, middleware=middleware, lifespan=live_on)
