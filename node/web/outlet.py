"""Bytes and files given to a socket by the kernel: a file's bytes never come into this process (sendfile)."""

import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

TURN = 0.5
"""Seconds for which one thread serves one connection before others may have it."""

PATIENCE = 0.05
"""Seconds for which the thread itself waits for a slow receiver; after that the event loop does."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A few bytes, and after them a whole file of `size` bytes, if any."""

    head: bytes
    file: Path | None = None
    size: int = 0

    def __len__(self) -> int:
        return len(self.head) + self.size


class Outlet:
    """Gives `stretches` to the connected socket `fd`, which stays its owner's and does not block, turn by turn."""

    def __init__(self, fd: int, stretches: Iterator[Stretch]) -> None:
        self._socket = socket.socket(fileno=os.dup(fd))
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLOUT)
        self._stretches = stretches
        self._head = memoryview(b"")
        self._file = -1
        self._at = self._left = 0

    def fileno(self) -> int:
        """Of its own descriptor, which an event loop may watch beside the owner's."""
        return self._socket.fileno()

    def push(self) -> bool:
        """One turn; True when all went. Raises OSError: the receiver is gone, or a file is, or one became shorter."""
        until = time.monotonic() + TURN
        while self._head or self._left or self._begin():
            try:
                self._give()
            except BlockingIOError:
                if not self._poll.poll(PATIENCE * 1000):
                    return False
            if time.monotonic() > until:
                return False
        return True

    def close(self) -> None:
        """Gives the descriptors back. Idempotent."""
        self._close_file()
        self._socket.close()

    def _begin(self) -> bool:
        """The next stretch; False when there is none."""
        self._close_file()
        stretch = next(self._stretches, None)
        if stretch is None:
            return False
        self._head, self._at, self._left = memoryview(stretch.head), 0, stretch.size
        if stretch.file is not None:
            self._file = os.open(stretch.file, os.O_RDONLY | os.O_CLOEXEC)
        return True

    def _give(self) -> None:
        if self._head:
            more = socket.MSG_MORE if self._left else 0  # in one packet with the file's first bytes
            self._head = self._head[self._socket.send(self._head, more) :]
            return
        count = os.sendfile(self._socket.fileno(), self._file, self._at, self._left)
        if not count:
            raise OSError("the file became shorter while it was sent")
        self._at += count
        self._left -= count

    def _close_file(self) -> None:
        if self._file >= 0:
            with suppress(OSError):
                os.close(self._file)
            self._file = -1
