"""Stands before every page and service: asks who it is, what that may, and writes down who changes something.

viewer reads (GET, HEAD, OPTIONS, and the POST of a question that must not be in an address); operator stores, retries
and cancels (everything else); admin alone may ask for what lies under ADMIN, of which there is nothing yet.
Health and the login page are open. A browser's cookie alone changes nothing: a form must repeat its session's secret,
and what another site's page sends is refused whatever it shows.
"""

from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

from anyio.to_thread import run_sync
from starlette.datastructures import MutableHeaders
from starlette.requests import HTTPConnection, Request
from starlette.responses import RedirectResponse, Response

from node.model.role import Role
from node.web.access.identify import CHALLENGE, Doorman
from node.web.access.oidc.back_channel import LOGOUT
from node.web.access.oidc.flow import BACK, BEGIN
from node.web.access.repeated import Repeated
from node.web.access.sessions import Session, repeats
from node.web.access.who import KEY, NOTES, Who
from node.web.audit import Audit
from node.web.body import read_bounded
from node.web.dicomweb.problem import Problem
from node.web.refusal import Refusal, answer_refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]

OPEN = frozenset({"/healthz", "/readyz", "/login", BEGIN, BACK, LOGOUT})
ADMIN = ("/api/v1/users", "/api/v1/audit")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
CHANNELS = ("/dicom-web/subscribers/",)
QUIET = 'Bearer realm="wetread"'
HERE = frozenset({"localhost", "127.0.0.1", "::1"})

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # "no-referrer" has browsers send our own forms with "Origin: null"
    "X-Frame-Options": "DENY",
    "Cache-Control": "private, no-cache",
}
"""What every answer says unless it says something else itself."""


def find_needed(method: str, path: str) -> Role:
    """What a request takes."""
    if path.startswith(ADMIN):
        return Role.ADMIN
    if path in {"/logout", "/patient"}:
        return Role.VIEWER
    return Role.VIEWER if method in READING else Role.OPERATOR


class Guard:
    """ASGI middleware. origins: of other sites whose pages may change something. here_only: nobody else gets here, so
    a host name that was bent to this machine is refused to who did not log in."""

    def __init__(
        self, app: Application, doorman: Doorman, audit: Audit, origins: Sequence[str], *, here_only: bool
    ) -> None:
        self._app = app
        self._doorman = doorman
        self._audit = audit
        self._origins = frozenset(origins)
        self._here_only = here_only
        self._refused_reads = Repeated()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Hands on who may."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._guard(scope, receive, send)
        else:
            await self._guard_channel(scope, receive, send)

    async def _guard_channel(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """A WebSocket: a subscriber who listens, and nothing else here speaks it."""
        connection = HTTPConnection(scope)
        try:
            if not str(scope["path"]).startswith(CHANNELS):
                raise Refusal(404, "nothing here speaks WebSocket")
            _check_origin(connection, self._origins)
            await self._admit(connection, Role.VIEWER)
        except Problem:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._app(scope, receive, send)

    async def _guard(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        changes = request.method not in READING
        denied = False

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, text in HEADERS.items():
                    headers.setdefault(name, text)
                if denied or (changes and _path(request) not in OPEN):
                    self._note(request, message["status"])  # before anybody is told that it was done
            await send(message)

        try:
            who, session = await self._let_in(request)
            again = await self._check_form(request, who, session, receive) if changes else receive
        except Problem as problem:
            denied = True
            await self._turn_away(request, problem)(scope, receive, answer)
        else:
            await self._app(scope, again, answer)

    async def _let_in(self, request: Request) -> tuple[Who | None, Session | None]:
        if _path(request) in OPEN:
            return None, None
        return await self._admit(request, find_needed(request.method, _path(request)))

    async def _admit(self, request: HTTPConnection, needed: Role) -> tuple[Who, Session | None]:
        """Raises Refusal."""
        who, session = await run_sync(self._doorman.identify, request)
        request.scope[KEY] = who
        if who is None:
            # Where a script of our pages asks, Basic would have the browser ask its user in a box of its own.
            challenge = QUIET if "x-requested-with" in request.headers else CHALLENGE
            raise Refusal(401, "show a password or a token", challenge=challenge, close=True)
        if who.is_anonymous and self._here_only and request.url.hostname not in HERE:
            raise Refusal(403, "without users this node answers to localhost alone", close=True)
        if not who.role.covers(needed):
            raise Refusal(403, f"{who.name} is {who.role} and may not do that", close=True)
        return who, session

    async def _check_form(
        self, request: Request, who: Who | None, session: Session | None, receive: Receive
    ) -> Receive:
        """What the request's body is to be read from, after it was looked into. Raises Refusal 403."""
        _check_origin(request, self._origins)
        if who is None or who.how != "session" or session is None:
            return receive
        said, again = request.headers.get("x-csrf-token", ""), receive
        if not said and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            body = await read_bounded(request)
            said = parse_qs(body.decode("latin-1")).get("csrf", [""])[0]
            again = _replay(body, receive)
        if not repeats(session, said):
            raise Refusal(403, "the form was not made for this session", close=True)
        return again

    def _turn_away(self, request: Request, problem: Problem) -> Response:
        """Browsers go to the login page."""
        wants_page = request.method == "GET" and "text/html" in request.headers.get("accept", "")
        if problem.status == 401 and wants_page and "authorization" not in request.headers:
            return RedirectResponse(f"/login?next={quote(_place(request))}", 303)
        return answer_refusal(request, problem)

    def _note(self, request: Request, status: int) -> None:
        who: Who | None = request.scope.get(KEY)
        address = request.client.host if request.client else ""
        notes = request.scope.get(NOTES, {})
        name, action = who.name if who else "", f"{request.method} {_path(request)}"
        if request.method not in READING or self._refused_reads.is_first(name, address, action, status):
            self._audit.write(name, address, action, status, **notes)


def _path(request: Request) -> str:
    """What the application's routes are found by. That of `request.url` is made with the Host header's help."""
    return str(request.scope["path"])


def _place(request: Request) -> str:
    """Where a browser wanted to go: a link into the viewer says in its query what it opens."""
    query = request.scope["query_string"].decode("latin-1")
    return f"{_path(request)}?{query}" if query else _path(request)


def _check_origin(connection: HTTPConnection, origins: frozenset[str]) -> None:
    """A page of another site may make a browser send credentials that it has, but not hide where it comes from."""
    origin = connection.headers.get("origin")
    if origin in origins:
        return
    foreign = origin is not None and urlsplit(origin).netloc != connection.headers.get("host", "")
    if foreign or connection.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        raise Refusal(403, "a page of another site asked for that", close=True)


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
