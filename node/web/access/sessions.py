"""Browsers that have logged in: a random cookie, of which the hash is remembered in memory."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from node.model.role import Role

COOKIE = "wetread_session"
MOST = 1000
IDLE = 3600.0
"""Seconds without a request after which a session ends; in all it lasts at most web.session."""


@dataclass(slots=True)
class Session:
    """user: name and kept password at the login, so that it ends when either changes. csrf: what forms must repeat.
    role: of somebody whom the identity provider vouches for, until the session ends; None for a local user. subject,
    theirs: who that is to the provider, and its own session, "" where it does not say."""

    user: str
    password: str
    csrf: str
    ends: float
    seen: float
    role: Role | None = None
    subject: str = ""
    theirs: str = ""


class Sessions:
    """length: seconds that one lasts at most."""

    def __init__(self, length: float) -> None:
        self._length = length
        self._lock = Lock()
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def open(self, user: str, password: str, role: Role | None = None, *, subject: str = "", theirs: str = "") -> str:
        """The cookie's value."""
        cookie, now = secrets.token_urlsafe(32), time.monotonic()
        session = Session(user, password, secrets.token_urlsafe(32), now + self._length, now, role, subject, theirs)
        with self._lock:
            self._sessions[_hash(cookie)] = session
            while len(self._sessions) > MOST:
                self._sessions.popitem(last=False)
        return cookie

    def find(self, cookie: str) -> Session | None:
        """The session, if it goes on."""
        now = time.monotonic()
        with self._lock:
            session = self._sessions.get(_hash(cookie))
            if session is None:
                return None
            if now > session.ends or now > session.seen + IDLE:
                del self._sessions[_hash(cookie)]
                return None
            session.seen = now
            return session

    def close(self, cookie: str) -> None:
        """Ends it. Idempotent."""
        with self._lock:
            self._sessions.pop(_hash(cookie), None)

    def close_all(self, subject: str, theirs: str) -> int:
        """Ends those of the provider's session `theirs`, or all of `subject` where that is "". Returns how many."""
        with self._lock:
            ended = [
                key
                for key, one in self._sessions.items()
                if one.role is not None
                and subject in ("", one.subject)
                and theirs in ("", one.theirs)
                and (subject or theirs)
            ]
            for key in ended:
                del self._sessions[key]
        return len(ended)


def repeats(session: Session, csrf: str) -> bool:
    """Whether a form was made for this session."""
    return hmac.compare_digest(session.csrf.encode(), csrf.encode())


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()
