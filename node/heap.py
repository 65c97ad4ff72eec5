"""The C library's heap, told what to do with large blocks that are freed. Without glibc nothing changes."""

import ctypes
from contextlib import suppress

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGE = 1 << 17
ARENAS = 2
EVER = 2**31 - 1
"""The most that can be said: larger blocks go back whatever is said."""


def give_back_large() -> None:
    """Blocks of LARGE bytes and more go back to the system when they are freed: glibc otherwise keeps many of them, for
    each of many threads."""
    _tell({M_MMAP_THRESHOLD: LARGE, M_ARENA_MAX: ARENAS})


def keep_large() -> None:
    """What is freed is kept for what comes next: memory that is new to a process costs more time than most of what a
    model does with it. `give_back` ends it for the time being."""
    _tell({M_MMAP_THRESHOLD: EVER, M_TRIM_THRESHOLD: EVER})


def give_back() -> None:
    """All that is free goes back to the system."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


def _tell(rules: dict[int, int]) -> None:
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        for name, value in rules.items():
            mallopt(name, value)
