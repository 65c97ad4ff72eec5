"""What moves by itself: complete studies, leases that ran out, lost wake-ups, delivered jobs, half-written files."""

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Event

from node.clock import Clock
from node.config import Settings
from node.errors import LostLease
from node.inbound.enqueue import Enqueuer
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.ledger.dependencies import fail_stranded
from node.model.job import Job, State
from node.outbound.confirm import settle_jobs
from node.rounds import keep_going

log = logging.getLogger(__name__)

TICK = 0.1
"""Seconds between two looks at the ledger."""

RING_AGAIN = 10.0
"""Seconds after which a job that is still QUEUED is rung for again: a worker that is merely busy ignores the second
ring, since only one claim of a job succeeds."""

SWEEP = 3600.0

REMEMBER = 86400.0
"""Seconds for which an announcement waits for the images of its study."""


class Housekeeper:
    """Runs until told to stop; every step may be repeated and none may stop the others."""

    def __init__(
        self, settings: Settings, ledger: Ledger, enqueuer: Enqueuer, spool: Spool, clock: Clock | None = None
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._enqueuer = enqueuer
        self._spool = spool
        self._clock = clock or Clock(ledger, settings.work.lease.total_seconds())
        self._clock.tell(self._enqueuer.move_clock)
        self._notify = [name for name, peer in sorted(settings.peers.items()) if peer.availability]
        self._swept = 0.0
        self._leases: dict[tuple[str, float], float] = {}

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        self._clock.start()
        keep_going("housekeeping", self._go_round, TICK, stop, self._ledger.look)

    def _go_round(self, _now: float) -> bool:
        began = time.monotonic()
        return self.tick(time.time(), lambda: self._clock.set_at < began)

    def tick(self, now: float, is_now: Callable[[], bool] = lambda: True) -> bool:
        """One round at `now` (epoch seconds); True while a study waits for its quiet period. is_now: False once the
        clock was set after `now` was read. Raises, after the last step, what went wrong in any."""
        wrong = []
        close = partial(self._enqueuer.close_complete, is_now=is_now)
        for step in (self._clock.tick, close, self._watch_workers, self._settle, self._sweep):
            try:
                step(now)
            except Exception as error:  # noqa: BLE001  raised again below, when the other steps are done
                wrong.append(error)
        if wrong:
            raise ExceptionGroup("not every step of the round was done", wrong)
        return self._enqueuer.awaits_quiet

    def _watch_workers(self, now: float) -> None:
        lost, unheard = self._ledger.find_overdue(now, now - RING_AGAIN)
        lost += self._find_silent(now)
        self._clock.tick()
        if time.monotonic() - self._clock.set_at < self._settings.work.lease.total_seconds():
            lost = []  # by which clock? every worker has the time of a lease to be heard
        for job in lost:
            with suppress(LostLease):  # it moved on meanwhile
                self._take_back(job, now)
        self._enqueuer.ring(unheard)

    def _settle(self, now: float) -> None:
        settle_jobs(self._ledger, self._notify)
        fail_stranded(self._ledger, now)

    def _sweep(self, now: float) -> None:
        if abs(now - self._swept) > SWEEP:
            self._swept = now
            self._spool.sweep(now - SWEEP)
            self._ledger.forget_expectations(now - REMEMBER)

    def _find_silent(self, now: float) -> list[Job]:
        """Those whose lease is not over, but was not renewed for two leases by a clock that nobody sets: after the
        system's was set back, the lease of a dead worker would end hours from now."""
        clock, lease = time.monotonic(), self._settings.work.lease.total_seconds()
        claimed = [job for job in self._ledger.find_jobs(states=[State.CLAIMED]) if job.lease_until >= now]
        leases = [(job.token, job.lease_until) for job in claimed]
        self._leases = {key: self._leases.get(key, clock) for key in leases}
        return [job for job, key in zip(claimed, leases, strict=True) if clock - self._leases[key] > 2 * lease]

    def _take_back(self, job: Job, now: float) -> None:
        """A worker went silent under `job`: again, or FAILED after work.attempts."""
        attempts = self._settings.work.attempts
        if job.attempt >= attempts:
            text = f"WorkerLost: its worker died or went silent, {job.attempt} times of {attempts}"
            self._ledger.move_job(job, State.FAILED, now, "housekeeping", text)
            log.error("job %s failed: %s", job.id, text)
            return
        text = f"WorkerLost: no heartbeat for {self._settings.work.lease.total_seconds():.0f} s, attempt {job.attempt}"
        again = self._ledger.move_job(job, State.QUEUED, now, "housekeeping", text)
        log.warning("job %s is queued again: %s", job.id, text)
        self._enqueuer.ring([again])
