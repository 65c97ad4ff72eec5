"""What was read or decoded lately, up to a number of bytes: the least lately used goes first."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar

Kept = TypeVar("Kept")


class Shelf:
    """For many threads. most: bytes that it holds; one thing that is larger than that is handed on and not kept."""

    def __init__(self, most: int) -> None:
        self._most, self._held = most, 0
        self._things: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = Lock()

    @property
    def held(self) -> int:
        """Bytes on it."""
        return self._held

    def get(self, key: Hashable, make: Callable[[], Kept], weigh: Callable[[Kept], int]) -> Kept:
        """What lies under `key`, else what `make` makes, of `weigh` bytes. Two that ask at once may both make it."""
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
                found: Kept = self._things[key][0]
                return found
        made = make()
        self._put(key, made, weigh(made))
        return made

    def _put(self, key: Hashable, made: object, weight: int) -> None:
        with self._lock:
            self._held -= self._things.pop(key, (None, 0))[1]
            self._things[key] = (made, weight)
            self._held += weight
            while self._held > self._most:
                self._held -= self._things.popitem(last=False)[1][1]
