"""A line between two application entities that breaks: a TCP proxy that delays, truncates, swallows and resets.

What happens to a connection is drawn from a seed when it is opened: nothing, or one fault after so many bytes of one
direction. `cut` ends all connections at once and lets none through for a while.
"""

import random
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass

FAULTS = ("slow", "truncated", "reset", "swallowed")
CHUNK = 1 << 14
SWALLOWED = 4.0
"""Seconds for which a swallowed connection stays open and silent."""


@dataclass(frozen=True)
class Fate:
    """fault: one of FAULTS, or "". after: bytes in the direction `upward` (towards the target) before it strikes."""

    fault: str
    after: int
    upward: bool
    pause: float


class Pipe:
    """One connection: two sockets and a thread for each direction."""

    def __init__(self, near: socket.socket, far: socket.socket, fate: Fate) -> None:
        self._ends = (near, far)
        self._fate = fate
        self._left = fate.after
        self._silent = threading.Event()
        for source, sink, upward in ((near, far, True), (far, near, False)):
            threading.Thread(target=self._pump, args=(source, sink, upward), daemon=True).start()

    def reset(self) -> None:
        """Both sides see a connection reset by its peer."""
        for end in self._ends:
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._close()

    def _close(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _pump(self, source: socket.socket, sink: socket.socket, upward: bool) -> None:
        struck = upward == self._fate.upward and self._fate.fault
        with suppress(OSError):
            while piece := source.recv(CHUNK):
                if struck == "slow":
                    time.sleep(self._fate.pause)
                elif struck and len(piece) >= self._left:
                    sink.sendall(piece[: self._left])
                    self._strike()
                    return
                elif struck:
                    self._left -= len(piece)
                if not self._silent.is_set():
                    sink.sendall(piece)
        if not self._silent.is_set():
            self._close()

    def _strike(self) -> None:
        if self._fate.fault == "reset":
            self.reset()
            return
        if self._fate.fault == "swallowed":
            self._silent.set()
            time.sleep(SWALLOWED)
        self._close()


class Link:
    """Listens on a port of loopback and passes on to `target`. share: of the connections that meet a fault."""

    def __init__(self, target: int, seed: str, share: float) -> None:
        self._target = target
        self._chance = random.Random(seed)
        self._share = share
        self._shut_until = 0.0
        self._pipes: list[Pipe] = []
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self._door = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._door.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """Resets every connection, and every new one for `seconds`."""
        with self._lock:
            self._shut_until = time.monotonic() + seconds
            pipes, self._pipes = self._pipes, []
        for pipe in pipes:
            pipe.reset()

    def calm(self) -> None:
        """From now on every new connection is passed on as it is."""
        self._share = 0.0

    def close(self) -> None:
        """Ends everything."""
        with suppress(OSError):
            self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        self.cut(0.0)

    def _run(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        with self._lock:
            is_shut = time.monotonic() < self._shut_until
            fate = self._draw()
        try:
            if is_shut:
                raise ConnectionRefusedError
            far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
        except OSError:
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            near.close()
            return
        far.settimeout(None)
        for end in (near, far):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.counts[fate.fault or "clean"] += 1
        with self._lock:
            self._pipes = [*self._pipes[-200:], Pipe(near, far, fate)]

    def _draw(self) -> Fate:
        """Of the bytes before a fault every order of magnitude is as likely: requests are short, images long."""
        fault = self._chance.choice(FAULTS) if self._chance.random() < self._share else ""
        after = int(10 ** self._chance.uniform(0.3, 4.7))
        return Fate(fault, after, self._chance.random() < 0.6, self._chance.uniform(0.01, 0.2))
