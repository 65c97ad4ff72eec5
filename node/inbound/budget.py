"""Memory that all associations of a listener share for messages that are read whole."""

from threading import Lock

from node.errors import ProtocolViolation


class Budget:
    """At most `most` bytes at once."""

    def __init__(self, most: int) -> None:
        self._left = most
        self._lock = Lock()

    def take(self, count: int) -> None:
        """Raises ProtocolViolation when there is not so much left."""
        with self._lock:
            if count > self._left:
                raise ProtocolViolation("more unfinished messages than listen has memory for", 0)
            self._left -= count

    def give(self, count: int) -> None:
        """Back."""
        with self._lock:
            self._left += count
