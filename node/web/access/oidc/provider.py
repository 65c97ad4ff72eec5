"""The identity provider as we see it: where its doors are, and by which keys it signs (OpenID Connect Discovery 1.0).

Both are fetched when they are first needed and again from time to time; a key that is not known is looked for at once,
for providers change theirs without notice.
"""

import logging
import time
from threading import Lock
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx
from joserfc.errors import JoseError
from joserfc.jwk import JWKRegistry, KeySet

from node.errors import PeerUnreachable
from node.sections import Oidc, WebAccess, is_loopback
from node.security.web_client import make_web_client
from node.web.refusal import Refusal

log = logging.getLogger(__name__)

FRESH = 3600.0
"""Seconds for which what the provider says of itself is believed."""

PAUSE = 10.0
"""Seconds between two looks for a key that is not known: tokens that are none must not make us ask without end."""

PATIENCE = 10.0
AWAY = 2.0
"""Seconds for which one that could not be reached is left alone: many who ask must not wait for it one by one."""

LONGEST = 1 << 20
"""Bytes of an answer."""

ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")
SYMMETRIC = "oct"
ACCEPT = {"Accept": "application/json"}


class Provider:
    """One issuer; for many threads."""

    def __init__(self, rules: Oidc) -> None:
        self._rules = rules
        self._lock = Lock()
        self._document: dict[str, Any] = {}
        self._read_at = -FRESH
        self._keys = KeySet([])
        self._keys_at = -FRESH
        self._away_at = -AWAY

    def get_endpoint(self, name: str) -> str:
        """Its address, "" where it has none. Raises Refusal 502 when the provider does not say."""
        with self._lock:
            if time.monotonic() - self._read_at >= FRESH:
                self._document = self._discover()
                self._read_at = time.monotonic()
            return str(self._document.get(name, ""))

    def get_keys(self, *, newer: bool = False) -> KeySet:
        """Those by which it signs. newer: one is missing among those that are known; it is asked again, but not all
        the time. Raises Refusal 502."""
        place = self.get_endpoint("jwks_uri")
        with self._lock:
            age = time.monotonic() - self._keys_at
            if age >= FRESH or (newer and age >= PAUSE):
                self._keys = _read_keys(self._ask("GET", place))
                self._keys_at = time.monotonic()
            return self._keys

    def exchange(self, form: dict[str, str]) -> dict[str, Any]:
        """What the token endpoint answers to `form` (RFC 6749 4.1.3). Raises Refusal 502, 401 for a code that it does
        not take."""
        place = self.get_endpoint("token_endpoint")
        secret = self._read_secret()
        auth = httpx.BasicAuth(quote_plus(self._rules.client_id), quote_plus(secret)) if secret else None
        return self._ask("POST", place, form if secret else form | {"client_id": self._rules.client_id}, auth)

    def _discover(self) -> dict[str, Any]:
        document = self._ask("GET", self._rules.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if document.get("issuer") != self._rules.issuer:
            raise self._refuse("it calls itself by another name than web.oidc.issuer")
        for name in ENDPOINTS:
            parts = urlsplit(str(document.get(name, "")))
            if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
                raise self._refuse(f"its {name} is not https")
        return document

    def _ask(
        self, method: str, place: str, form: dict[str, str] | None = None, auth: httpx.Auth | None = None
    ) -> dict[str, Any]:
        if time.monotonic() - self._away_at < AWAY:
            raise self._refuse("it could not be reached a moment ago")
        access = WebAccess(authorities=self._rules.authorities)
        try:
            with (
                make_web_client(access, PATIENCE) as client,
                client.stream(method, place, headers=ACCEPT, data=form, auth=auth) as answer,
            ):
                body = _read_bounded(answer)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, PeerUnreachable) as error:
            self._away_at = time.monotonic()
            raise self._refuse(f"it cannot be reached ({type(error).__name__})") from None
        if form is not None and 400 <= answer.status_code < 500:
            log.warning("the identity provider takes no code of ours: HTTP %d", answer.status_code)
            raise Refusal(401, "the identity provider did not confirm the login; try again")
        try:
            said = answer.is_success and httpx.Response(200, content=body).json()
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise self._refuse(f"it answers HTTP {answer.status_code}, and no JSON object")
        return said

    def _read_secret(self) -> str:
        place = self._rules.secret_file
        if place is None:
            return ""
        try:
            return place.read_text("utf-8").strip()
        except (OSError, ValueError) as error:
            raise self._refuse(f"web.oidc.secret_file {place}: {type(error).__name__}") from None

    def _refuse(self, why: str) -> Refusal:
        log.error("identity provider %s: %s", self._rules.issuer, why)
        return Refusal(502, "the identity provider cannot be used now; the log says why")


def _read_bounded(answer: httpx.Response) -> bytes:
    body = b""
    for piece in answer.iter_bytes():
        body += piece
        if len(body) > LONGEST:
            raise httpx.RemoteProtocolError("the answer is too long")
    return body


def _read_keys(document: dict[str, Any]) -> KeySet:
    """Public keys for signatures; what we do not understand is no reason to refuse the others."""
    keys = []
    listed = document.get("keys", [])
    for one in listed if isinstance(listed, list) else []:
        if not isinstance(one, dict) or one.get("kty") == SYMMETRIC or one.get("use", "sig") != "sig":
            continue
        try:
            keys.append(JWKRegistry.import_key(one))
        except (JoseError, ValueError, TypeError, KeyError):
            log.warning("the identity provider has a key of a kind that is not known here")
    return KeySet(keys)
