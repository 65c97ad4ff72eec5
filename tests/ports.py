"""Ports for servers of tests."""

import random
import socket


def free_port() -> int:
    """A port that nobody has, below those that the system hands out: whoever knocks there before its server listens
    could be given the very port as its own, and be connected with itself. Drawn by the system: a test that seeds
    Python's generator would make two processes draw alike."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.SystemRandom().randrange(20_000, 32_000)))
            except OSError:
                continue
            return int(probe.getsockname()[1])
