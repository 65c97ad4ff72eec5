"""Logging in at the identity provider: away with a question, back with a code (OpenID Connect Core 1.0, 3.1; RFC 7636).

What a login began with is remembered here until it comes back, once, by the same browser.
"""

import hashlib
import hmac
import secrets
import time
from base64 import urlsafe_b64encode
from collections import OrderedDict
from dataclasses import dataclass
from html import escape
from threading import Lock
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from node.sections import Oidc
from node.web.access.local import find_local
from node.web.access.oidc.provider import Provider
from node.web.access.oidc.token import find_person, verify_login
from node.web.access.sessions import Sessions
from node.web.audit import Audit
from node.web.refusal import Refusal

BEGIN, BACK = "/login/oidc", "/login/oidc/back"
COOKIE = "wetread_login"
PATIENCE = 600.0
"""Seconds that a login may take."""

MOST = 1000
"""Logins under way; the oldest is forgotten first."""

ONWARD = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={place}">
<title>Wetread</title><p><a href="{place}">Go on</a></p></html>"""
"""A redirection from another site would leave our cookie (SameSite=Strict) behind; a page of ours does not."""


@dataclass(frozen=True, slots=True)
class Begun:
    """One login under way. browser: hash of its cookie; until: on the monotonic clock."""

    browser: str
    nonce: str
    verifier: str
    following: str
    until: float


class Flow:
    """root: the address under which browsers see this service."""

    def __init__(self, rules: Oidc, provider: Provider, sessions: Sessions, audit: Audit, root: str) -> None:
        self._rules = rules
        self._provider = provider
        self._sessions = sessions
        self._audit = audit
        self._root = root.rstrip("/")
        self._lock = Lock()
        self._begun: OrderedDict[str, Begun] = OrderedDict()

    def begin(self, request: Request) -> Response:
        """GET /login/oidc: to the provider, with state, nonce and PKCE. Raises Refusal 502."""
        door = self._provider.get_endpoint("authorization_endpoint")
        state, nonce, verifier, browser = (secrets.token_urlsafe(32) for _ in range(4))
        following = find_local(request.query_params.get("next", "/"))
        with self._lock:
            self._begun[_hash(state)] = Begun(_hash(browser), nonce, verifier, following, time.monotonic() + PATIENCE)
            while len(self._begun) > MOST:
                self._begun.popitem(last=False)
        query = {
            "response_type": "code",
            "client_id": self._rules.client_id,
            "redirect_uri": self._root + BACK,
            "scope": " ".join(self._rules.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        response = RedirectResponse(f"{door}{'&' if '?' in door else '?'}{urlencode(query)}", 303)
        response.set_cookie(
            COOKIE, browser, max_age=int(PATIENCE), path=BEGIN, secure=self.is_secure, httponly=True, samesite="lax"
        )
        return response

    def finish(self, request: Request) -> tuple[str, str]:
        """(cookie of the session, where the browser wanted to go) for GET /login/oidc/back. Raises Refusal."""
        begun = self._take(request)
        said = request.query_params
        if said.get("iss", self._rules.issuer) != self._rules.issuer:  # RFC 9207
            raise Refusal(401, "the answer is of another identity provider")
        if "error" in said or not said.get("code"):
            raise Refusal(401, "the identity provider did not let you in")
        form = {"grant_type": "authorization_code", "code": said["code"], "redirect_uri": self._root + BACK}
        tokens = self._provider.exchange(form | {"code_verifier": begun.verifier})
        claims = verify_login(str(tokens.get("id_token", "")), self._provider, self._rules, begun.nonce)
        name, role = find_person(claims, self._rules)
        self._audit.write(name, find_address(request), "login", "opened", role=role)
        theirs = claims.get("sid")
        theirs = theirs if isinstance(theirs, str) else ""
        return self._sessions.open(name, "", role, subject=claims["sub"], theirs=theirs), begun.following

    def find_farewell(self) -> str:
        """Where the provider's own session is ended (RP-Initiated Logout 1.0), "" when it has no such place."""
        try:
            place = self._provider.get_endpoint("end_session_endpoint")
        except Refusal:
            return ""
        query = {"client_id": self._rules.client_id, "post_logout_redirect_uri": f"{self._root}/login"}
        return f"{place}{'&' if '?' in place else '?'}{urlencode(query)}" if place.startswith("http") else ""

    @property
    def is_secure(self) -> bool:
        """Whether browsers reach us by TLS."""
        return self._root.startswith("https:")

    def _take(self, request: Request) -> Begun:
        """What this answer belongs to; it counts once."""
        with self._lock:
            begun = self._begun.pop(_hash(request.query_params.get("state", "")), None)
        browser = _hash(request.cookies.get(COOKIE, ""))
        if begun is None or begun.until < time.monotonic() or not hmac.compare_digest(begun.browser, browser):
            raise Refusal(401, "this login was not begun here, or took too long; begin again")
        return begun


def find_address(request: Request) -> str:
    """Of the client."""
    return request.client.host if request.client else ""


def go_on(place: str) -> HTMLResponse:
    """A page of ours that leads to `place`."""
    return HTMLResponse(ONWARD.format(place=escape(place)), headers={"Cache-Control": "no-store"})


def _challenge(verifier: str) -> str:
    """S256 (RFC 7636 4.2)."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
