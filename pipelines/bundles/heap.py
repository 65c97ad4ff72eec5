"""The heap of a bundle's process: kept while it answers, given back between two answers. Without glibc nothing changes.

What one window has used is kept for the next one: memory that is new to a process must first be cleared by the kernel,
which took a third of the CPU time of a network with 100 MB a layer.
"""

import ctypes
from collections.abc import Callable

KEEP = {"MALLOC_MMAP_THRESHOLD_": str(2**31 - 1), "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1)}
"""Environment in which a process keeps what it frees; larger blocks than 2 GB go back whatever is said."""


def find_give_back() -> Callable[[], None]:
    """What gives all that is free back to the system. Call before the process is confined: it looks into the C
    library, which then it may not."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return lambda: None
    return lambda: trim(0)
