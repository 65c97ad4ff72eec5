"""Refusals that only repeat: a page left open or a client gone wrong is noted once in a while, not at each request."""

import time
from collections import OrderedDict
from threading import Lock

EVERY = 60.0
"""Seconds for which an equal refusal is not noted again."""

REMEMBERED = 1000


class Repeated:
    """What was noted lately."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._noted: OrderedDict[tuple[str | int, ...], float] = OrderedDict()

    def is_first(self, *said: str | int) -> bool:
        """Whether `said` is to be noted: it was not within the last EVERY seconds."""
        now = time.monotonic()
        with self._lock:
            last = self._noted.get(said)
            if last is not None and now - last < EVERY:
                return False
            self._noted[said] = now
            self._noted.move_to_end(said)
            while len(self._noted) > REMEMBERED:
                self._noted.popitem(last=False)
            return True
