"""Who somebody is, by what they show: a token, a password, a session's cookie, or nothing."""

import base64
import binascii
import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from threading import BoundedSemaphore, Lock

from starlette.requests import HTTPConnection

from node.model.role import Role
from node.web.access.hashes import check_password, find_nobody, hash_token, split_token
from node.web.access.sessions import COOKIE, Session, Sessions
from node.web.access.tries import Tries
from node.web.access.users import User, UserFile
from node.web.access.who import Who
from node.web.refusal import Refusal

CHALLENGE = 'Basic realm="wetread", charset="UTF-8"'
BELIEVED = 300.0
"""Seconds for which a password that was right is not derived again: DICOMweb clients show it with each request."""

MOST_BELIEVED = 1000
AT_ONCE = 2
"""Passwords derived at one moment: each takes 32 MiB."""


class Doorman:
    """Knows users, sessions, and who has been guessing. find_anonymous: what somebody may now who shows nothing.
    find_bearer: who shows an access token of the identity provider; it raises Refusal."""

    def __init__(
        self,
        users: UserFile,
        sessions: Sessions,
        find_anonymous: Callable[[], Role | None],
        find_bearer: Callable[[str], tuple[str, Role]] | None = None,
    ) -> None:
        self.users = users
        self.sessions = sessions
        self.tries = Tries()
        self._find_anonymous = find_anonymous
        self._find_bearer = find_bearer
        self._key = secrets.token_bytes(32)
        self._believed: OrderedDict[bytes, float] = OrderedDict()
        self._lock = Lock()
        self._deriving = BoundedSemaphore(AT_ONCE)

    def identify(self, connection: HTTPConnection) -> tuple[Who | None, Session | None]:
        """Who asks, None for somebody who must show something; with the session by which we know it.

        Raises Refusal 401 for what is wrong, 429 for too many tries. May take a while: not for an event loop.
        """
        address = connection.client.host if connection.client else ""
        authorization = connection.headers.get("authorization", "")
        if authorization:
            scheme, _, shown = authorization.partition(" ")
            if scheme.lower() == "bearer":
                return self._check_token(shown.strip(), address), None
            if scheme.lower() == "basic":
                user = self.check_basic(*_read_basic(shown), address)
                return Who(user.name, user.role, address, "basic"), None
            raise Refusal(401, "Authorization is neither Basic nor Bearer", challenge=CHALLENGE, close=True)
        if cookie := connection.cookies.get(COOKIE, ""):
            session = self.sessions.find(cookie)
            if session and session.role:
                return Who(session.user, session.role, address, "session"), session
            known = self.users.read().get(session.user) if session else None
            if session and known and known.password == session.password:
                return Who(known.name, known.role, address, "session"), session
        role = self._find_anonymous()
        return (None if role is None else Who("anonymous", role, address, "anonymous")), None

    def check_basic(self, name: str, password: str, address: str) -> User:
        """Raises Refusal."""
        self._check_tries(name, address)
        user = self.users.read().get(name)
        kept = user.password if user and user.password else find_nobody()
        right = self._is_right(name, password, kept)
        if user is None or not user.password or not right:
            self.tries.fail(name, address)
            raise Refusal(401, "name or password is wrong", challenge=CHALLENGE, close=True)
        self.tries.succeed(name, address)
        return user

    def _check_token(self, token: str, address: str) -> Who:
        """A right token counts whatever others show: it cannot be guessed, so only wrong ones are slowed."""
        identifier, secret = split_token(token)
        kept = hash_token(secret)
        for user in self.users.read().values():
            for one in user.tokens:
                if one.id == identifier and hmac.compare_digest(one.kept, kept) and one.is_valid(datetime.now(UTC)):
                    return Who(user.name, user.role, address, "token")
        if self._find_bearer and token.count(".") == 2:
            return self._check_bearer(token, address, self._find_bearer)
        self._check_tries("", address)
        self.tries.fail("", address)
        raise Refusal(401, "the token is none of ours, or no longer", challenge=CHALLENGE, close=True)

    def _check_bearer(self, token: str, address: str, find: Callable[[str], tuple[str, Role]]) -> Who:
        try:
            name, role = find(token)
        except Refusal as refusal:
            if refusal.status == 401:
                self._check_tries("", address)
                self.tries.fail("", address)
            raise
        return Who(name, role, address, "token")

    def _check_tries(self, name: str, address: str) -> None:
        if wait := self.tries.find_wait(name, address):
            raise Refusal(429, "too many wrong tries", retry_after=wait, close=True)

    def _is_right(self, name: str, password: str, kept: str) -> bool:
        said = "\0".join((name, password, kept)).encode("utf-8", "surrogateescape")
        mark = hmac.new(self._key, said, hashlib.sha256).digest()
        now = time.monotonic()
        with self._lock:
            if self._believed.get(mark, 0.0) > now:
                return True
        with self._deriving:
            right = check_password(password, kept)
        if right:
            with self._lock:
                self._believed[mark] = now + BELIEVED
                while len(self._believed) > MOST_BELIEVED:
                    self._believed.popitem(last=False)
        return right


def _read_basic(shown: str) -> tuple[str, str]:
    """(RFC 7617)"""
    try:
        name, colon, password = base64.b64decode(shown.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        colon = name = password = ""
    if not colon:
        raise Refusal(401, "the Basic credentials cannot be read", challenge=CHALLENGE, close=True)
    return name, password
