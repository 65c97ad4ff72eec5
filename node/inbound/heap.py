"""The C library's heap, told to give back what is large: glibc otherwise keeps it, for each of many threads."""

import ctypes
from contextlib import suppress

M_MMAP_THRESHOLD, M_ARENA_MAX = -3, -8
LARGE = 1 << 17
ARENAS = 2


def give_back_large() -> None:
    """Blocks of LARGE bytes and more go back to the system when they are freed. Without glibc nothing changes."""
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(M_MMAP_THRESHOLD, LARGE)
        mallopt(M_ARENA_MAX, ARENAS)
