"""What becomes of jobs is told to one webhook, until it answers for each event.

In:  lines of the history that the hook wants.   Out: notices SENT, DEAD after deliver.give_up, or PENDING again later.
A crash between the receiver's answer and our row sends the event again, with the same id and the same bytes.
One thread per hook: a dead one never delays another, and while it cannot be reached it costs one try a wait.
"""

import logging
import time
from threading import Event

import httpx

from node.config import Settings
from node.errors import PeerUnreachable
from node.ledger import Ledger
from node.model.webhook import Hook, Notice, NoticeState
from node.outbound.signature import make_body, make_headers, make_id, read_secrets
from node.rounds import keep_going
from node.sections import HookEvent, Webhook
from node.security.web_client import make_web_client

log = logging.getLogger(__name__)

TICK = 0.2
AT_ONCE = 100
"""Events that go out in one round."""

LINES = 1000
"""Of the history, read at once."""

FORGET = 3600.0
"""Seconds between two looks for what need not be remembered any more."""

GONE = 410


class WebhookNotifier:
    """Serves one hook. A new one is told of what happens from the moment that this is made."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger) -> None:
        self._name = name
        self._rules: Webhook = settings.webhooks[name]
        self._settings = settings
        self._ledger = ledger
        self._forgot = 0.0
        ledger.open_hook(name)

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"webhook {self._name}", self.tick, TICK, stop, self._ledger.look)

    def tick(self, now: float) -> None:
        """Draws what the history has to tell, then tells what is due."""
        while self._ledger.draw_notices(self._ledger.open_hook(self._name), self._wants, now, LINES):
            pass
        hook = self._ledger.open_hook(self._name)
        if not hook.paused_at and hook.next_at <= now:
            self._tell(hook, now)
        if abs(now - self._forgot) > FORGET:
            self._forgot = now
            self._ledger.forget_notices(now - self._settings.keep.results.total_seconds())

    def _wants(self, notice: Notice) -> bool:
        rules = self._rules
        chosen = not rules.states or notice.job_state in rules.states
        chosen &= not rules.pipelines or notice.pipeline in rules.pipelines
        return chosen and (not rules.events or HookEvent(notice.kind) in rules.events)

    def _tell(self, hook: Hook, now: float) -> None:
        left = self._ledger.find_notices_due(self._name, now, AT_ONCE)
        if not left:
            return
        try:
            secrets = read_secrets(self._rules.secret_file)
            with make_web_client(self._rules.web, self._settings.deliver.answer_wait.total_seconds()) as client:
                while left and self._send(client, left[0], secrets):
                    left.pop(0)
        except PeerUnreachable as error:
            self._miss(hook, left[0], str(error))

    def _send(self, client: httpx.Client, notice: Notice, secrets: list[bytes]) -> bool:
        """False when the hook is paused now. Raises PeerUnreachable when nobody answers."""
        status = self._post(client, notice, secrets)
        answer, now = f"HTTP {status}", time.time()
        if 200 <= status < 300:
            self._ledger.move_notice(notice, NoticeState.SENT, answer, 0.0)
            self._ledger.reach_hook(self._name, now, answer)
            return True
        if status == GONE:
            text = "HTTP 410: the receiver wants no more; resume it when that is settled"
            log.error("webhook %s is paused: %s", self._name, text)
            self._ledger.pause_hook(self._name, now, text)
            return False
        log.warning("webhook %s: %s to event %d of job %s", self._name, answer, notice.number, notice.job_id)
        self._ledger.reach_hook(self._name, now, answer)
        self._put_off(notice, answer)
        return True

    def _post(self, client: httpx.Client, notice: Notice, secrets: list[bytes]) -> int:
        """The status of the answer, of which nothing else is read."""
        title = self._settings.node.ae_title
        body = make_body(notice, title)
        headers = make_headers(make_id(notice, title), int(time.time()), body, secrets)
        try:
            with client.stream("POST", self._rules.url, content=body, headers=headers) as answer:
                return answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise PeerUnreachable(f"no answer: {type(error).__name__}") from None

    def _miss(self, hook: Hook, notice: Notice, why: str) -> None:
        """Nobody answers: the first event alone counts a try, and all wait."""
        next_at = time.time() + self._settings.deliver.find_pause(hook.failures)
        log.warning("webhook %s: %s; next try in %.0f s", self._name, why, next_at - time.time())
        self._ledger.miss_hook(self._name, why, next_at)
        self._put_off(notice, why)

    def _put_off(self, notice: Notice, answer: str) -> None:
        rules, now = self._settings.deliver, time.time()
        if now - notice.since > rules.give_up.total_seconds():
            log.error(
                "webhook %s: event %d of job %s is given up: %s", self._name, notice.number, notice.job_id, answer
            )
            self._ledger.move_notice(notice, NoticeState.DEAD, answer, 0.0)
            return
        pause = rules.find_pause(notice.attempts)
        self._ledger.move_notice(notice, NoticeState.PENDING, answer, now + pause)
