"""What one worker child holds: settings, ledger, device, warm models; and how it answers a ring."""

import logging
import os
import socket
import time

from billiard import current_process

from node.config import Settings
from node.errors import LostLease, WetreadError
from node.ledger import SqlLedger
from node.model.delivery import ResultObject
from node.model.job import Job, State
from workers.device import pick_device
from workers.heartbeat import Heartbeat
from workers.process import Stopwatch, process_job, refuse_job
from workers.retry import is_refusal, judge
from workers.warm import Warm

log = logging.getLogger(__name__)


class Hands:
    """One child process; made once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger = SqlLedger(settings.ledger_url)
        self._name = f"{socket.gethostname()}/{os.getpid()}"
        self.warm = Warm(pick_device(settings.work.device, getattr(current_process(), "index", 0) or 0))

    def answer(self, job_id: str) -> str:
        """Claims and runs the job; a job that somebody else has, or that is past running, is left alone."""
        now, lease = time.time(), self._settings.work.lease.total_seconds()
        job = self._ledger.claim_job(job_id, self._name, now + lease, now)
        if job is None:
            return "not to be claimed"
        try:
            with Heartbeat(self._ledger, job, lease):
                return self._work(job)
        except LostLease as error:
            log.warning("%s", error)
            return "lost"

    def _work(self, job: Job) -> str:
        watch = Stopwatch()
        try:
            objects, shares = process_job(job, self._settings, self._ledger, self.warm, watch, _no_progress)
        except Exception as error:  # noqa: BLE001  judged by workers.retry, the one place that knows the policy
            return self._give_back(job, error, watch)
        text = f"{len(objects)} objects by {self._name} on {self.warm.device}"
        self._ledger.move_job(
            job, State.ENCODED, time.time(), "encode", text, seconds=watch.seconds, objects=objects, shares=shares
        )
        log.info("job %s encoded: %s", job.id, text)
        return "encoded"

    def _give_back(self, job: Job, error: Exception, watch: Stopwatch) -> str:
        state, reason = judge(error, job.attempt, self._settings.work.attempts)
        notice: list[ResultObject] = []
        if state == State.FAILED and is_refusal(error):
            notice = self._refuse(job, error)
        self._ledger.move_job(job, state, time.time(), "run", reason, seconds=watch.seconds, objects=notice)
        log.warning("job %s %s: %s", job.id, state, reason)
        return state.lower()

    def _refuse(self, job: Job, error: Exception) -> list[ResultObject]:
        try:
            return refuse_job(job, self._settings, self._ledger, type(error).__name__, str(error))
        except WetreadError as failure:
            log.error("job %s: not even the refusal could be written: %s", job.id, failure)
            return []


def _no_progress(_share: float, _activity: str) -> None:
    """The ledger keeps facts, not activities."""


_hands: dict[int, Hands] = {}


def get_hands(settings: Settings) -> Hands:
    """The one Hands of this process, made at first call (after the fork)."""
    if os.getpid() not in _hands:
        _hands[os.getpid()] = Hands(settings)
    return _hands[os.getpid()]
