"""Has somebody set the system's clock? Then what waits is moved with it, so that it waits as long as it was to.

Two clocks are compared: the wall's, which is set, and the monotonic one, which is not. A step of some seconds is what
time services do once after a start, administrators by hand, and hosts whose guest was asleep.
"""

import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock

from node.durable import place_file
from node.ledger import Ledger
from node.rounds import keep_going

log = logging.getLogger(__name__)

BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Another text after each start of the host."""

STEP = 5.0
"""Seconds: by less a clock is not set, it drifts or is led back."""

TICK = 0.05

AFTERMATH = 60.0
"""Seconds for which rows may come that somebody began to write before the clock was set back: a writer waits for
another at most half as long."""

SETTLE = 0.5
"""Seconds between two looks for such."""

AT_ONE_MOMENT = 0.1
"""Seconds within which two clocks are read together."""


class Clock:
    """Of the process that runs housekeeping. lease: seconds that a worker's lease is long. place: where it is kept how
    far the clocks are apart, for the time in which nobody looks. For many threads."""

    def __init__(self, ledger: Ledger, lease: float, place: Path | None = None) -> None:
        self._ledger = ledger
        self._lease = lease
        self._place = place
        self._lock = Lock()
        self._told: list[Callable[[float], None]] = []
        self._offset = _read_offset()
        self._back: list[tuple[float, float]] = []
        self._settled = 0.0
        self.set_at = -math.inf
        """Of the monotonic clock: when the last step was noticed; before what waits is moved."""

    def tell(self, listener: Callable[[float], None]) -> None:
        """Calls `listener` with each step (seconds) after the ledger knows of it."""
        self._told.append(listener)

    def run(self, stop: Event) -> None:
        """Looks until `stop` is set."""
        keep_going("the clock", self.tick, TICK, stop)

    def start(self) -> None:
        """Was it set while nobody looked? Forward: the clocks are farther apart than they were, since the host started.
        Back: what waits cannot have begun later than now."""
        with self._lock:
            by = self._offset - _recall(self._place, self._offset)
            if by >= STEP:
                log.warning("the system clock was set by %+.0f s while nobody looked", by)
                self._ledger.move_waits(by, time.time, self._lease)
            ahead = self._ledger.find_newest_wait() - time.time()
            if ahead >= STEP:
                log.warning("the system clock was set back, by %.0f s at least, while nobody looked", ahead)
                self._ledger.settle_waits(-ahead, time.time, 0.0)
            _remember(self._place, self._offset)

    def tick(self, _now: float = 0.0) -> None:
        """Moves what waits when the clock was set since the last look. Where the ledger cannot be written the next look
        tries again."""
        with self._lock:
            offset = _read_offset()
            by = offset - self._offset
            if abs(by) >= STEP:
                self.set_at = time.monotonic()
                log.warning("the system clock was set by %+.0f s: what waits goes on waiting as long as it was to", by)
                self._ledger.move_waits(by, time.time, self._lease)
                _remember(self._place, offset)
                self._back = [*self._back, (time.monotonic(), by)] if by < 0 else []
                for listener in self._told:
                    listener(by)
            self._offset = offset
            self._settle()

    def _settle(self) -> None:
        """For a while after the clock was set back."""
        now = time.monotonic()
        if self._back and now - self._settled >= SETTLE:
            self._settled = now
            for _, by in self._back:
                self._ledger.settle_waits(by, time.time, -by)
            self._back = [(at, by) for at, by in self._back if now - at < AFTERMATH]


def _recall(place: Path | None, offset: float) -> float:
    """How far they were apart when they were last looked at, by one that looked since the host started; else `offset`:
    the monotonic clock begins anew with the host."""
    with suppress(OSError, ValueError):
        boot, kept = place.read_text("utf-8").split() if place is not None else ("", "")
        if boot == BOOT.read_text("utf-8").strip():
            return float(kept)
    return offset


def _remember(place: Path | None, offset: float) -> None:
    if place is not None and BOOT.exists():
        part = place.with_suffix(".part")
        part.write_text(f"{BOOT.read_text('utf-8').strip()} {offset:.3f}\n", "utf-8")
        place_file(part, place)


def _read_offset() -> float:
    """How far the clocks are apart (seconds), both read at one moment."""
    while True:
        before, wall, after = time.monotonic(), time.time(), time.monotonic()
        if after - before < AT_ONE_MOMENT:
            return wall - before
