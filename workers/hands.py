"""What one worker child holds: settings, ledger, device, warm models; and how it answers a ring."""

import logging
import os
import socket
import time

from billiard import current_process

from node.config import Settings
from node.errors import LostLease, OutOfMemory, OutOfTime, WetreadError, WorkerLost
from node.ledger import SqlLedger
from node.model.delivery import ResultObject
from node.model.job import Job, State
from pipelines.terms import get_manifest
from workers.activity import Activity
from workers.device import pick_device
from workers.explaining import LONGER, find_way
from workers.heartbeat import Heartbeat
from workers.idle import Presence
from workers.leash import Leash
from workers.process import Stopwatch, process_job, refuse_job
from workers.retry import is_out_of_memory, is_refusal, judge
from workers.warm import Warm

log = logging.getLogger(__name__)


TURN = 4
"""One in so many claims of a child goes to a job that has waited longer than work.patience, however urgent others are:
so that what is not urgent never starves."""

FAILING = {"run", "housekeeping"}
"""Stations that queue a job again because it failed: in our hands, or with its worker."""


class Hands:
    """One child process; made once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger = SqlLedger(settings.ledger_url)
        self._name = f"{socket.gethostname()}/{os.getpid()}"
        self._claims = 0
        self.warm = Warm(pick_device(settings.work.device, getattr(current_process(), "index", 0) or 0))
        self._careful = Warm("cpu", sparing=self.warm.device == "cpu")
        self._presence = Presence(self._ledger, self._name, settings.work.lanes, self.warm.device, self._find_models)
        self._presence.start()

    def answer(self, lane: str) -> str:
        """Claims the job of `lane` that is next and runs it; nothing when none may run now."""
        now, lease = time.time(), self._settings.work.lease.total_seconds()
        self._claims += 1
        aged = now - self._settings.work.patience.total_seconds() if self._claims % TURN == 0 else None
        job = self._ledger.claim_next([lane], self._name, now + lease, now, waiting_since=aged)
        if job is None:
            return "nothing to claim"
        leash, activity = Leash(job.id, _find_limit(job, self._settings)), Activity()
        self._presence.take(job.id, lease / 3)
        try:
            with Heartbeat(self._ledger, job, lease, leash.cut, activity, self._presence.tell):
                return self._work(job, leash, activity)
        except LostLease as error:
            log.warning("%s", error)
            return "lost"
        finally:
            self._presence.release()

    def _find_models(self) -> list[str]:
        return sorted({*self.warm.names, *self._careful.names})

    def leave(self) -> None:
        """The child ends: it is no worker any more."""
        self._presence.leave()

    def _work(self, job: Job, leash: Leash, activity: Activity) -> str:
        watch, warm = Stopwatch(enter=activity.enter), self._pick_models(job)
        try:
            with leash:
                objects, shares = process_job(job, self._settings, self._ledger, warm, watch, activity.note)
        except LostLease:
            raise
        except Exception as error:  # noqa: BLE001  judged by workers.retry, the one place that knows the policy
            if is_out_of_memory(error):
                warm.forget()
            return self._give_back(job, error, watch)
        finally:
            if warm is self._careful:
                warm.forget()  # a second copy of what is warm
        text = f"{len(objects)} objects by {self._name} on {warm.device}"
        self._ledger.move_job(
            job, State.ENCODED, time.time(), "encode", text, seconds=watch.seconds, objects=objects, shares=shares
        )
        log.info("job %s encoded: %s", job.id, text)
        return "encoded"

    def _pick_models(self, job: Job) -> Warm:
        """Those on this child's device. Once the job ran out of memory or time, or took its worker with it, on the CPU;
        where that is the device, with smaller windows. A worker on the CPU may have gone for any reason, and a rerun
        must make the same objects: then nothing is changed."""
        if job.attempt == 1:
            return self.warm
        history = reversed(self._ledger.find_history(job.id))
        # QUEUED events of other stations say what an operator changed, or what was gathered meanwhile.
        last = next((e.text for e in history if e.state == State.QUEUED and e.station in FAILING), "")
        greedy = (OutOfMemory.__name__, OutOfTime.__name__)
        reasons = greedy if self.warm.device == "cpu" else (*greedy, WorkerLost.__name__)
        return self._careful if last.startswith(reasons) else self.warm

    def _give_back(self, job: Job, error: Exception, watch: Stopwatch) -> str:
        state, reason = judge(error, job.attempt, self._settings.work.attempts)
        notice: list[ResultObject] = []
        shares: dict[str, list[str]] = {}
        if state == State.FAILED and is_refusal(error):
            notice, shares = self._refuse(job, error)
        self._ledger.move_job(
            job, state, time.time(), "run", reason, seconds=watch.seconds, objects=notice, shares=shares
        )
        log.warning("job %s %s: %s", job.id, state, reason)
        return state.lower()

    def _refuse(self, job: Job, error: Exception) -> tuple[list[ResultObject], dict[str, list[str]]]:
        try:
            return refuse_job(job, self._settings, self._ledger, type(error).__name__, str(error))
        except (WetreadError, OSError) as failure:
            log.error("job %s: not even the refusal could be written: %s", job.id, failure)
            return [], {}


def _find_limit(job: Job, settings: Settings) -> float:
    """Seconds that the pipeline of `job` may take; a pipeline that is gone fails by name soon enough."""
    try:
        return float(get_manifest(job.pipeline).time_limit_s) * (LONGER if find_way(job, settings) else 1)
    except (KeyError, ValueError):
        return 60.0


_hands: dict[int, Hands] = {}


def get_hands(settings: Settings) -> Hands:
    """The one Hands of this process, made at first call (after the fork)."""
    if os.getpid() not in _hands:
        _hands[os.getpid()] = Hands(settings)
    return _hands[os.getpid()]


def leave() -> None:
    """What the child does last, where it made Hands at all."""
    if os.getpid() in _hands:
        _hands[os.getpid()].leave()
