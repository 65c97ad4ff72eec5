"""The identity provider itself says that somebody has logged out (OpenID Connect Back-Channel Logout 1.0).

In:  POST /login/oidc/logout with a logout token.   Out: the sessions that it names are no more.
"""

import time
from collections import OrderedDict
from threading import Lock
from typing import Any

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from node.sections import Oidc
from node.web.access.oidc.flow import find_address
from node.web.access.oidc.provider import Provider
from node.web.access.oidc.token import LEEWAY, verify_logout
from node.web.access.sessions import Sessions
from node.web.audit import Audit
from node.web.body import read_form
from node.web.dicomweb.problem import Problem
from node.web.refusal import Refusal

LOGOUT = "/login/oidc/logout"
MOST = 10_000
"""Tokens of which it is known that they came; the oldest is forgotten first."""

UNCACHED = {"Cache-Control": "no-store"}


class BackChannel:
    """Ends `sessions` of whom the provider logs out."""

    def __init__(self, rules: Oidc, provider: Provider, sessions: Sessions, audit: Audit) -> None:
        self._rules = rules
        self._provider = provider
        self._sessions = sessions
        self._audit = audit
        self._lock = Lock()
        self._came: OrderedDict[str, float] = OrderedDict()

    async def answer(self, request: Request) -> Response:
        """200 when they are ended, and when there were none; 400 for a token that does not count (2.8)."""
        try:
            form = await read_form(request)
            ended = await run_sync(self._end, form.get("logout_token", ""))
        except Problem as problem:
            self._audit.write("", find_address(request), "logout by oidc", problem.status)
            status = 400 if problem.status == 401 else problem.status
            said = {"error": "invalid_request", "error_description": problem.detail}
            return JSONResponse(said, status, UNCACHED)
        self._audit.write("", find_address(request), "logout by oidc", "closed", sessions=ended)
        return Response(status_code=200, headers=UNCACHED)

    def _end(self, token: str) -> int:
        claims = verify_logout(token, self._provider, self._rules)
        self._take(claims)
        return self._sessions.close_all(str(claims.get("sub", "")), str(claims.get("sid", "")))

    def _take(self, claims: dict[str, Any]) -> None:
        """Each token counts once, as long as its time is not over."""
        now = time.time()
        with self._lock:
            if self._came.get(claims["jti"], 0.0) > now:
                raise Refusal(401, "the identity provider's token does not count: it came before")
            self._came[claims["jti"]] = claims["exp"] + LEEWAY
            while len(self._came) > MOST:
                self._came.popitem(last=False)
