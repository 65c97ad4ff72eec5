"""The viewer's port: its files, its configuration, and DICOMweb to read from, of one origin and of no other.

A port of its own keeps our pages apart from a large program that makes code at run time: to a browser it is another
origin, which can neither read them nor press their buttons. What it shows is read-only: nothing is stored here.
"""

import re
from collections.abc import Sequence
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from node.web.dicomweb.place import APART
from node.web.viewer.install import BUNDLE, PACKED
from node.web.viewer.settings import make_settings

POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-eval'",  # its decoders of JPEG-LS and JPEG 2000 make functions from text
        "worker-src 'self' blob:",
        "connect-src 'self' blob: data:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    # Without these a browser gives no shared memory, in which volumes are put together.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HASHED = re.compile(r"[0-9a-f]{16}\.(js|wasm|woff2)$")
"""Names that change with the content."""

TYPES = {".js": "text/javascript", ".css": "text/css", ".wasm": "application/wasm", ".svg": "image/svg+xml"}
"""Said by us, not by this machine's mime.types: a browser runs nothing of another type."""

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>OHIF Viewer</title>
<link rel="icon" href="/assets/favicon.ico"><link rel="stylesheet" href="/app.bundle.css">
<script src="/app-config.js"></script><script defer src="/{bundle}"></script></head>
<body><noscript>The viewer needs JavaScript.</noscript><div id="react-portal"></div><div id="root"></div></body></html>
"""


class Port(BaseRoute):
    """Everything that comes in by one port of this machine."""

    def __init__(self, port: int, app: ASGIApp) -> None:
        self._port, self._app = port, app

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """By the socket, not by what a client says of its address."""
        server = scope.get("server")
        is_ours = scope["type"] == "http" and server is not None and server[1] == self._port
        return (Match.FULL, {APART: True}) if is_ours else (Match.NONE, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on."""
        await self._app(scope, receive, send)


class Files(StaticFiles):
    """The viewer's own files, as small as they were packed when the browser takes them so. Browsers keep those whose
    name changes with their content; every address that is no file is a page of the viewer."""

    def __init__(self, folder: Path) -> None:
        super().__init__(directory=folder)
        self._packed = frozenset(path.name.removesuffix(PACKED) for path in folder.glob(f"*{PACKED}"))
        self._page = PAGE.format(bundle=next(folder.glob(BUNDLE)).name)

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Raises HTTPException 404 for a file that there is not."""
        if not Path(path).suffix:
            return HTMLResponse(self._page)
        is_packed = path in self._packed and "gzip" in Headers(scope=scope).get("accept-encoding", "")
        answer = await super().get_response(path + PACKED if is_packed else path, scope)
        answer.headers["Vary"] = "Accept-Encoding"
        if is_packed:
            answer.headers["Content-Encoding"] = "gzip"
        if kind := TYPES.get(Path(path).suffix):
            answer.headers["Content-Type"] = kind
        if HASHED.search(path):
            answer.headers["Cache-Control"] = "private, max-age=31536000, immutable"
        return answer


def make_viewer(folder: Path, dicomweb: ASGIApp, base: str, routes: Sequence[BaseRoute]) -> ASGIApp:
    """The application for the viewer's port. dicomweb: what reads, at `base`. routes: those of the login."""

    def say_settings(_request: Request) -> Response:
        return Response(make_settings(base), media_type="text/javascript")

    mine = [*routes, Mount(base, dicomweb), Route("/app-config.js", say_settings), Mount("/", Files(folder))]
    return _with_headers(Starlette(routes=mine))


def _with_headers(app: ASGIApp) -> ASGIApp:
    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await app(scope, receive, add)

    return answer
