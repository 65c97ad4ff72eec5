"""What memory a worker's child holds."""

import os
import resource
import sys
from pathlib import Path

MIB = 1024 * 1024


def find_resident_mb() -> float:
    """Resident memory of this process in MiB; where the system has no /proc, the most that it ever was."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    except (OSError, ValueError, IndexError):
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (MIB if sys.platform == "darwin" else 1024)
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


def find_reserved_mb(device: str) -> float:
    """What torch's allocator holds of `device` in MiB; 0.0 on the CPU. Waits for no kernel."""
    if not device.startswith("cuda"):
        return 0.0
    import torch

    return float(torch.cuda.memory_reserved(device)) / MIB
