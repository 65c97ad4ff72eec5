"""The whole of access for one web process, made from the settings."""

from functools import partial

from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Route

from node.config import Settings
from node.web.access.anonymous import find_anonymous, find_role, is_here_only
from node.web.access.guard import Guard
from node.web.access.identify import Doorman
from node.web.access.login import Login
from node.web.access.oidc.back_channel import LOGOUT, BackChannel
from node.web.access.oidc.flow import BACK, BEGIN, Flow
from node.web.access.oidc.provider import Provider
from node.web.access.oidc.token import find_bearer
from node.web.access.sessions import Sessions
from node.web.access.users import find_users
from node.web.audit import find_audit


class Entrance:
    """What `make_web` puts before the pages, and its own pages. Raises ConfigError like `find_anonymous`."""

    def __init__(self, settings: Settings) -> None:
        length = settings.web.session.total_seconds()
        find_anonymous(settings)
        users = find_users(settings)
        self.audit = find_audit(settings)
        sessions, rules = Sessions(length), settings.web.oidc
        flow = bearer = self._back_channel = None
        if rules is not None:
            provider = Provider(rules)
            flow = Flow(rules, provider, sessions, self.audit, settings.web.public_url)
            self._back_channel = BackChannel(rules, provider, sessions, self.audit)
            bearer = partial(find_bearer, provider, rules) if rules.audience else None
        self._doorman = Doorman(users, sessions, partial(find_role, settings, users), bearer)
        self._login = Login(self._doorman, self.audit, length, flow, rules.label if rules else "")
        self._elsewhere = flow is not None
        self._origins = [origin.rstrip("/") for origin in settings.web.origins]
        self._here_only = is_here_only(settings)

    @property
    def routes(self) -> list[BaseRoute]:
        """Login, logout, and who one is."""
        elsewhere = [
            Route(BEGIN, self._login.go_elsewhere, methods=["GET"]),
            Route(BACK, self._login.come_back, methods=["GET"]),
        ]
        if self._back_channel is not None:
            elsewhere.append(Route(LOGOUT, self._back_channel.answer, methods=["POST"]))
        return [
            *(elsewhere if self._elsewhere else ()),
            Route("/login", self._login.show, methods=["GET"]),
            Route("/login", self._login.log_in, methods=["POST"]),
            Route("/logout", self._login.log_out, methods=["POST"]),
            Route("/api/v1/me", self._login.show_me, methods=["GET"]),
        ]

    def find_csrf(self, request: HTTPConnection) -> str:
        """The secret that forms of this request's session must repeat; "" where no session shows who asks."""
        return self._login.find_csrf(request)

    @property
    def middleware(self) -> Middleware:
        """The guard, to stand before all that an application answers."""
        return Middleware(
            Guard, doorman=self._doorman, audit=self.audit, origins=self._origins, here_only=self._here_only
        )
