"""What goes on for as long as a role lives: the same step, again and again, whatever one of them comes to."""

import logging
import time
from collections.abc import Callable
from threading import Event

log = logging.getLogger(__name__)

RECOVERY = 1.0
"""Seconds that a step which stumbled waits beyond its pause."""

REST = 1.0
"""Seconds between two steps while there is no news: by then a wait that ends by the clock is over."""

Look = Callable[[], object]
"""Gives another value once there is news."""


def keep_going(
    what: str, step: Callable[[float], bool | None], pause: float, stop: Event, look: Look | None = None
) -> None:
    """Calls `step` with the time (epoch seconds) every `pause` seconds until `stop` is set.

    With `look` a step comes when there is news since the last one began, looked for every `pause` seconds, and after
    REST seconds without; a step that returns True is not to be left waiting for news.
    An error that nobody foresaw is logged with its trace, and the next round tries again: a loop that ends on one would
    leave studies waiting until somebody looks.
    """
    while not stop.is_set():
        seen, is_urgent = _look(look), True
        try:
            is_urgent = bool(step(time.time()))
        except Exception:
            log.exception("%s stumbled; it goes on", what)
            stop.wait(RECOVERY)
        until = time.monotonic() + REST
        while not stop.wait(pause) and look is not None and not is_urgent:
            if time.monotonic() >= until or _look(look) != seen:
                break


def _look(look: Look | None) -> object:
    """What cannot be looked at may be news."""
    try:
        return look() if look is not None else None
    except Exception:  # noqa: BLE001  the step meets the same fault, and says so
        return object()
