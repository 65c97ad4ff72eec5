"""How many may be in at once and how fast: limits, and what happens when the disk or the workers are behind."""

import logging
import time
from collections import Counter
from threading import Event, Lock, Thread

from sqlalchemy.exc import SQLAlchemyError

from node.errors import AssociationRejected, OutOfResources
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.model.job import State
from node.sections import Busy, Listen
from node.security.access import (
    LOCAL_LIMIT_EXCEEDED,
    PROVIDER_PRESENTATION,
    REJECTED_TRANSIENT,
    TEMPORARY_CONGESTION,
)

log = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between two looks at how far the workers are behind."""

DRAG = 0.2
"""Seconds by which each answer waits when the door is busy and slows."""


class Traffic:
    """What is going on at one listener, from `start` to `stop`. most: associations that descriptors suffice for."""

    def __init__(self, limits: Listen, most: int, spool: Spool, ledger: Ledger) -> None:
        self._limits = limits
        self._most = min(most, limits.max_associations)
        self._spool = spool
        self._ledger = ledger
        self._lock = Lock()
        self._present: Counter[str] = Counter()
        self._lanes: dict[str, Lane] = {}
        self._stop = Event()
        self.is_busy = False

    def start(self) -> None:
        """Begins to watch the workers."""
        Thread(target=self._watch, name="traffic", daemon=True).start()

    def stop(self) -> None:
        """Ends the watch."""
        self._stop.set()

    def enter(self, caller: str) -> None:
        """One more association of `caller`. Raises AssociationRejected when these are enough."""
        with self._lock:
            total, own = self._present.total(), self._present[caller]
            if total >= self._most or own >= self._limits.max_associations_per_peer:
                text = f"{caller!r} has {own} associations, {total} are open in all: no more at once"
                raise AssociationRejected(REJECTED_TRANSIENT, PROVIDER_PRESENTATION, LOCAL_LIMIT_EXCEEDED, text)
            self._present[caller] += 1

    def leave(self, caller: str) -> None:
        """One less."""
        with self._lock:
            self._present[caller] -= 1
            if not self._present[caller]:
                del self._present[caller]
                self._lanes.pop(caller, None)

    def check_room(self) -> None:
        """Raises AssociationRejected while there is no room for images, or no hands for them."""
        try:
            self._spool.check_space()
        except OutOfResources as error:
            raise _congested(str(error)) from None
        if self.is_busy and self._limits.when_busy == Busy.REFUSE:
            raise _congested(f"more than listen.busy_jobs = {self._limits.busy_jobs} jobs wait")

    def find_lane(self, caller: str) -> "Lane":
        """What sets the pace of `caller`, the same for all its associations."""
        with self._lock:
            return self._lanes.setdefault(caller, Lane(self._limits.max_stores_per_second, self))

    @property
    def drag(self) -> float:
        """Seconds that every answer waits now."""
        return DRAG if self.is_busy and self._limits.when_busy == Busy.SLOW else 0.0

    def _watch(self) -> None:
        while True:
            try:
                waiting = self._ledger.count_jobs((State.QUEUED, State.CLAIMED))
            except SQLAlchemyError as error:
                log.warning("the ledger does not say how many jobs wait: %s", type(error).__name__)
            else:
                busy = waiting > self._limits.busy_jobs
                if busy != self.is_busy and self._limits.when_busy != Busy.ACCEPT:
                    log.warning("%d jobs wait: the door is %s", waiting, "busy" if busy else "no longer busy")
                self.is_busy = busy
            if self._stop.wait(LOOK):
                return


class Lane:
    """One peer's pace: at most so many instances a second, a second's worth at once; 0 is no limit."""

    def __init__(self, most: int, traffic: Traffic) -> None:
        self._most = most
        self._traffic = traffic
        self._lock = Lock()
        self._free_at = 0.0

    def wait(self) -> None:
        """Sleeps until the next instance may be answered."""
        pause = self._traffic.drag
        if self._most:
            with self._lock:
                now = time.monotonic()
                self._free_at = max(self._free_at, now - 1.0) + 1.0 / self._most
                pause = max(pause, self._free_at - now)
        if pause > 0:
            time.sleep(pause)


def _congested(why: str) -> AssociationRejected:
    return AssociationRejected(REJECTED_TRANSIENT, PROVIDER_PRESENTATION, TEMPORARY_CONGESTION, why)
