"""A request's body taken from its socket on a thread: no event loop and no parser of HTTP in between copies it."""

import os
import select
import socket
import time
from collections.abc import Callable

TURN = 0.5
"""Seconds for which one thread serves one connection before others may have it."""

PATIENCE = 0.05
"""Seconds for which the thread itself waits for a slow sender; after that the event loop does."""

PIECE = 1 << 20
"""Bytes that are handed on together at most."""


class Inlet:
    """Hands the next `size` bytes of the connected socket `fd`, which stays its owner's and does not block, to `feed`,
    turn by turn. begun: those that came before, and count among them."""

    def __init__(self, fd: int, size: int, feed: Callable[[bytes], None], begun: bytes = b"") -> None:
        self._socket = socket.socket(fileno=os.dup(fd))
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._feed = feed
        self._begun = begun
        self._left = size - len(begun)

    def fileno(self) -> int:
        """Of its own descriptor, which an event loop may watch beside the owner's."""
        return self._socket.fileno()

    def pull(self) -> bool:
        """One turn; True when all came. Raises ConnectionError when the sender broke off, and what `feed` raises."""
        until = time.monotonic() + TURN
        if self._begun:
            begun, self._begun = self._begun, b""
            self._feed(begun)
        while self._left:
            if time.monotonic() > until or not self._take():
                return False
        return True

    def close(self) -> None:
        """Gives the descriptor back. Idempotent."""
        self._socket.close()

    def _take(self) -> bool:
        """What is there by now; False when nothing came for a while."""
        try:
            piece = self._socket.recv(min(self._left, PIECE))
        except BlockingIOError:
            return bool(self._poll.poll(PATIENCE * 1000))
        if not piece:
            raise ConnectionResetError("the sender broke off")
        self._left -= len(piece)
        self._feed(piece)
        return True
