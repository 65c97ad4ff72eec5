"""The login page of browsers: name and password for a cookie."""

from html import escape
from urllib.parse import urlencode

from anyio.to_thread import run_sync
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from node.web.access.identify import Doorman
from node.web.access.local import find_local
from node.web.access.oidc.flow import BEGIN, Flow, find_address, go_on
from node.web.access.oidc.flow import COOKIE as LOGIN_COOKIE
from node.web.access.sessions import COOKIE
from node.web.access.who import find_who
from node.web.audit import Audit
from node.web.body import read_form
from node.web.dicomweb.problem import Problem
from node.web.refusal import Refusal, answer_refusal

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Wetread: log in</title>
<style>:root{{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}}body{{display:grid;place-items:center;
min-height:90vh;margin:0}}form{{width:18rem}}label{{display:block;margin:.8rem 0 .2rem}}
input,button{{font:inherit;width:100%;box-sizing:border-box;padding:.45rem}}button{{margin-top:1.2rem}}.wrong{{color:#c33}}
</style><form method="post" action="/login"><h1>Wetread</h1>{wrong}
<input type="hidden" name="next" value="{following}">
<label for="name">Name</label><input id="name" name="name" autocomplete="username" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Log in</button>{elsewhere}</form></html>"""


class Login:
    """GET shows the form, POST opens a session. length: seconds that the cookie lasts. flow: to the identity provider,
    label: of the link that leads there."""

    def __init__(
        self, doorman: Doorman, audit: Audit, length: float, flow: Flow | None = None, label: str = ""
    ) -> None:
        self._doorman = doorman
        self._audit = audit
        self._length = length
        self._flow = flow
        self._label = label

    def show(self, request: Request) -> Response:
        """The form."""
        return self._page(request.query_params.get("next", "/"), "")

    async def log_in(self, request: Request) -> Response:
        """Redirects to where the browser wanted to go."""
        try:
            form = await read_form(request)
        except Problem as problem:
            return answer_refusal(request, problem)
        name, following = form.get("name", ""), form.get("next", "/")
        address = request.client.host if request.client else ""
        try:
            user = await run_sync(self._doorman.check_basic, name, form.get("password", ""), address)
        except Refusal as problem:
            self._audit.write(name[:32], address, "login", problem.status)
            response = self._page(following, problem.detail, problem.status)
            response.headers.update({k: v for k, v in problem.headers.items() if k == "Retry-After"})
            return response
        self._audit.write(user.name, address, "login", "opened")
        response = RedirectResponse(find_local(following), 303)
        self._give(response, self._doorman.sessions.open(user.name, user.password), request.url.scheme == "https")
        return response

    def go_elsewhere(self, request: Request) -> Response:
        """GET /login/oidc: to the identity provider."""
        assert self._flow is not None
        try:
            return self._flow.begin(request)
        except Refusal as problem:
            return self._page(request.query_params.get("next", "/"), problem.detail, problem.status)

    def come_back(self, request: Request) -> Response:
        """GET /login/oidc/back: opens a session for whom the identity provider vouches."""
        assert self._flow is not None
        try:
            cookie, following = self._flow.finish(request)
        except Refusal as problem:
            self._audit.write("", find_address(request), "login by oidc", problem.status)
            response = self._page("/", problem.detail, problem.status)
        else:
            response = go_on(following)
            self._give(response, cookie, self._flow.is_secure)
        response.delete_cookie(LOGIN_COOKIE, path=BEGIN, httponly=True, samesite="lax")
        return response

    def show_me(self, request: Request) -> Response:
        """Who is asking, and the secret that a session's forms must repeat."""
        who = find_who(request)
        return JSONResponse({"name": who.name, "role": who.role, "csrf": self.find_csrf(request)})

    def find_csrf(self, request: HTTPConnection) -> str:
        """The secret of the session by which we know who asks, "" without one."""
        by_session = find_who(request).how == "session"
        session = self._doorman.sessions.find(request.cookies.get(COOKIE, "")) if by_session else None
        return session.csrf if session else ""

    def log_out(self, request: Request) -> Response:
        """Ends the session."""
        cookie = request.cookies.get(COOKIE, "")
        session = self._doorman.sessions.find(cookie)
        self._doorman.sessions.close(cookie)
        farewell = self._flow.find_farewell() if self._flow and session and session.role else ""
        # A form may not lead to another site (CSP form-action); a page of ours may.
        response: Response = go_on(farewell) if farewell else RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    def _give(self, response: Response, cookie: str, secure: bool) -> None:
        response.set_cookie(
            COOKIE, cookie, max_age=int(self._length), path="/", secure=secure, httponly=True, samesite="strict"
        )

    def _page(self, following: str, wrong: str, status: int = 200) -> Response:
        said = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
        place = escape(find_local(following))
        there = escape(f"{BEGIN}?{urlencode({'next': find_local(following)})}")
        elsewhere = f'<p><a href="{there}">{escape(self._label)}</a></p>' if self._flow else ""
        return HTMLResponse(PAGE.format(wrong=said, following=place, elsewhere=elsewhere), status)
