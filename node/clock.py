"""Has somebody set the system's clock? Then what waits is moved with it, so that it waits as long as it was to.

Two clocks are compared: the wall's, which is set, and the monotonic one, which is not. A step of some seconds is what
time services do once after a start, administrators by hand, and hosts whose guest was asleep.
"""

import logging
import time
from collections.abc import Callable
from threading import Event, Lock

from node.ledger import Ledger
from node.rounds import keep_going

log = logging.getLogger(__name__)

STEP = 5.0
"""Seconds: by less a clock is not set, it drifts or is led back."""

TICK = 0.05

AT_ONE_MOMENT = 0.1
"""Seconds within which two clocks are read together."""


class Clock:
    """Of the process that runs housekeeping. lease: seconds that a worker's lease is long. For many threads."""

    def __init__(self, ledger: Ledger, lease: float) -> None:
        self._ledger = ledger
        self._lease = lease
        self._lock = Lock()
        self._told: list[Callable[[float], None]] = []
        self._offset = _read_offset()

    def tell(self, listener: Callable[[float], None]) -> None:
        """Calls `listener` with each step (seconds) after the ledger knows of it."""
        self._told.append(listener)

    def run(self, stop: Event) -> None:
        """Looks until `stop` is set."""
        keep_going("the clock", self.tick, TICK, stop)

    def start(self) -> None:
        """What waits in the ledger cannot have begun later than now: if it did, the clock was set back while nobody
        looked. Set forward meanwhile it looks as if the node had been away for as long."""
        now = time.time()
        ahead = self._ledger.find_newest_wait() - now
        if ahead > STEP:
            log.warning("the system clock was set back, by %.0f s at least, while nobody looked", ahead)
            self._ledger.move_waits(-ahead, now, self._lease)

    def tick(self, _now: float = 0.0) -> None:
        """Moves what waits when the clock was set since the last look. Where the ledger cannot be written the next look
        tries again."""
        with self._lock:
            offset = _read_offset()
            by = offset - self._offset
            if abs(by) >= STEP:
                log.warning("the system clock was set by %+.0f s: what waits goes on waiting as long as it was to", by)
                self._ledger.move_waits(by, time.time(), self._lease)
                for listener in self._told:
                    listener(by)
            self._offset = offset


def _read_offset() -> float:
    """How far the clocks are apart (seconds), both read at one moment."""
    while True:
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        if after - before < AT_ONE_MOMENT:
            return wall - before
