"""Who guesses is slowed: after some failures in a row each further one doubles the wait."""

import time
from collections import OrderedDict
from threading import Lock

FORGET = 900.0
"""Seconds after the last failure; also the longest wait."""

REMEMBERED = 10_000

FREE = {"pair": 5, "address": 30, "name": 100}
"""Failures that cost nothing: of one address on one name; of an address; on a name, from wherever."""


class Tries:
    """Failures by key."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._failures: OrderedDict[tuple[str, str], tuple[int, float]] = OrderedDict()

    def find_wait(self, name: str, address: str) -> int:
        """Seconds until the next try counts; 0 at once. name: "" for a token, where the address alone counts."""
        now = time.monotonic()
        with self._lock:
            return max(self._find_wait(key, now) for key in _keys(name, address))

    def fail(self, name: str, address: str) -> None:
        """One more that was wrong."""
        now = time.monotonic()
        with self._lock:
            for key in _keys(name, address):
                count, last = self._failures.pop(key, (0, now))
                self._failures[key] = (count + 1 if now - last < FORGET else 1, now)
            while len(self._failures) > REMEMBERED:
                self._failures.popitem(last=False)

    def succeed(self, name: str, address: str) -> None:
        """One that was right: the address is no longer suspected of guessing this name."""
        with self._lock:
            self._failures.pop(_pair(name, address), None)

    def _find_wait(self, key: tuple[str, str], now: float) -> int:
        count, last = self._failures.get(key, (0, 0.0))
        over = count - FREE[key[0]]
        if over < 0:
            return 0
        wait = min(2.0 ** min(over, 20), FORGET)
        return max(round(last + wait - now + 0.5), 0)


def _keys(name: str, address: str) -> tuple[tuple[str, str], ...]:
    by_name = (_pair(name, address), ("name", name)) if name else ()
    return ("address", address), *by_name


def _pair(name: str, address: str) -> tuple[str, str]:
    return "pair", f"{address} {name}"
