"""What goes on for as long as a role lives: the same step, again and again, whatever one of them comes to."""

import logging
import time
from collections.abc import Callable
from threading import Event

log = logging.getLogger(__name__)

RECOVERY = 1.0
"""Seconds that a step which stumbled waits beyond its pause."""


def keep_going(what: str, step: Callable[[float], None], pause: float, stop: Event) -> None:
    """Calls `step` with the time (epoch seconds) every `pause` seconds until `stop` is set.

    An error that nobody foresaw is logged with its trace, and the next round tries again: a loop that ends on one would
    leave studies waiting until somebody looks.
    """
    while not stop.is_set():
        try:
            step(time.time())
        except Exception:
            log.exception("%s stumbled; it goes on", what)
            stop.wait(RECOVERY)
        stop.wait(pause)
