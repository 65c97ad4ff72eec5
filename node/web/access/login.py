"""The login page of browsers: name and password for a cookie."""

from html import escape

from anyio.to_thread import run_sync
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from node.web.access.identify import Doorman
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
<button>Log in</button></form></html>"""


class Login:
    """GET shows the form, POST opens a session. length: seconds that the cookie lasts."""

    def __init__(self, doorman: Doorman, audit: Audit, length: float) -> None:
        self._doorman = doorman
        self._audit = audit
        self._length = length

    def show(self, request: Request) -> Response:
        """The form."""
        return _page(request.query_params.get("next", "/"), "")

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
            response = _page(following, problem.detail, problem.status)
            response.headers.update({k: v for k, v in problem.headers.items() if k == "Retry-After"})
            return response
        self._audit.write(user.name, address, "login", "opened")
        response = RedirectResponse(_local(following), 303)
        cookie = self._doorman.sessions.open(user.name, user.password)
        secure = request.url.scheme == "https"
        response.set_cookie(
            COOKIE, cookie, max_age=int(self._length), path="/", secure=secure, httponly=True, samesite="strict"
        )
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
        self._doorman.sessions.close(request.cookies.get(COOKIE, ""))
        response = RedirectResponse("/login", 303)
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response


def _page(following: str, wrong: str, status: int = 200) -> Response:
    said = f'<p class="wrong" role="alert">{escape(wrong)}</p>' if wrong else ""
    return HTMLResponse(PAGE.format(wrong=said, following=escape(_local(following))), status)


def _local(place: str) -> str:
    """A path of ours; "/" for anything that could lead elsewhere."""
    ours = place.startswith("/") and not place.startswith("//") and "\\" not in place and place.isprintable()
    return place if ours else "/"
