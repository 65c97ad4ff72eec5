"""What the process of a bundle may not do, said once before anything of the bundle is read.

What it is worth: limits of the kernel hold whatever runs (memory, no core file, no new privileges). The audit hook sees
what goes through Python: it stops an expression, a pickle or a script that opens a socket, starts a program or writes a
file. It does not stop machine code that a trusted script brings; for that the worker's container is the wall (no root,
read-only, no route out).
"""

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from pipelines.errors import BundleCrashed

FORBIDDEN = (
    "socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.spawn", "os.kill", "pty.",
    "ctypes.dlopen", "ctypes.dlsym", "urllib.", "http.client.", "ftplib.", "smtplib.", "ensurepip.", "os.putenv",
    "os.remove", "os.rename", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate", "shutil.",
)  # fmt: skip
PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS = 1, 38
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def limit_memory(gigabytes: float) -> None:
    """At most so much address space; what asks for more gets a MemoryError. Not for a GPU: CUDA reserves more address
    space than the machine has memory."""
    room = int(gigabytes * (1 << 30))
    resource.setrlimit(resource.RLIMIT_AS, (room, room))


def confine(scratch: Path) -> None:
    """From now on, for the rest of the process: no core file, no new privileges, no network, no program started, no
    file changed outside `scratch`. Raises nothing; what is tried later raises BundleCrashed. Import torch and monai
    before: they load shared libraries."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    system = ctypes.CDLL(None)
    system.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    system.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    allowed = f"{os.path.realpath(scratch)}{os.sep}"

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN):
            raise BundleCrashed(f"it tried {event}, which no bundle may")
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES:
            place = os.path.realpath(str(arguments[0]))
            if not place.startswith(allowed) and place != os.devnull:
                raise BundleCrashed("it tried to write a file, which no bundle may")

    sys.addaudithook(look)
