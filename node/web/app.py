"""Health for the orchestrator, metrics for Prometheus, and one page for the PACS administrator: where is my study?"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from node.config import Settings
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.oversight.health import find_troubles
from node.oversight.metrics import render_metrics
from node.oversight.overview import Row, list_rows
from node.web.access.entrance import Entrance
from node.web.dicomweb.desk import Desk
from node.web.dicomweb.origins import make_cors
from node.web.dicomweb.service import Reading, make_dicomweb
from node.web.dicomweb.stow import Stow

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Wetread</title>
<style>:root{{color-scheme:light dark;font:15px/1.45 system-ui,sans-serif}}body{{margin:1.5rem}}
table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #8884;
vertical-align:top;overflow-wrap:anywhere}}.CONFIRMED{{color:#2a8a3a}}.FAILED,.REFUSED{{color:#c33}}code{{font-size:.85em}}</style>
<h1>Wetread</h1><p>{summary}</p>
<table><thead><tr><th>State</th><th>Pipeline</th><th>Study</th><th>Job</th><th>Since</th><th>Reason</th></tr></thead>
<tbody>{rows}</tbody></table></html>"""
ROW = (
    '<tr><td class="{0}">{0}</td><td>{1}</td><td><code>{2}</code></td>'
    "<td><code>{3}</code></td><td>{4}</td><td>{5}</td></tr>"
)
MOST = 200
DICOMWEB = "/dicom-web"


def make_web(settings: Settings, ledger: Ledger, spool: Spool) -> Starlette:
    """The ASGI application: pages that read the ledger, DICOMweb, and the guard before them. Raises ConfigError."""
    entrance = Entrance(settings)
    desk = Desk(settings, spool, ledger)
    stow = Stow(settings, desk, DICOMWEB)
    reading = Reading(settings, ledger, spool, DICOMWEB)

    def live(_request: Request) -> Response:
        return PlainTextResponse("alive\n")

    def ready(_request: Request) -> Response:
        troubles = find_troubles(settings, ledger)
        return PlainTextResponse("\n".join(troubles or ["ready"]) + "\n", status_code=503 if troubles else 200)

    def metrics(_request: Request) -> Response:
        text = render_metrics(ledger, spool.free_mb() * 1e6)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    def jobs(_request: Request) -> Response:
        return JSONResponse([row.to_dict() for row in list_rows(ledger)])

    def page(_request: Request) -> Response:
        rows = list_rows(ledger)
        troubles = find_troubles(settings, ledger)
        summary = escape("; ".join(troubles)) if troubles else f"{len(rows)} entries, everything runs."
        return HTMLResponse(PAGE.format(summary=summary, rows="".join(_show(row) for row in rows[:MOST])))

    addresses = {"/": page, "/healthz": live, "/readyz": ready, "/metrics": metrics, "/api/v1/jobs": jobs}
    routes: list[BaseRoute] = [Route(path, answer) for path, answer in addresses.items()]
    routes += [Route(DICOMWEB + path, stow.store, methods=["POST"]) for path in ("/studies", "/studies/{study}")]
    routes.append(Mount(DICOMWEB, make_dicomweb(reading)))
    routes += entrance.routes

    @asynccontextmanager
    async def live_on(_app: Starlette) -> AsyncIterator[None]:
        desk.start()
        reading.start()
        yield
        reading.stop()
        desk.stop()

    middleware = [*make_cors(settings.web.origins), entrance.middleware]
    return Starlette(routes=routes, middleware=middleware, lifespan=live_on)


def _show(row: Row) -> str:
    return ROW.format(
        *(escape(text) for text in (row.state, row.pipeline, row.study_uid, row.job_id, row.since, row.reason))
    )
