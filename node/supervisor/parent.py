"""A role started by the supervisor ends with it, even when the supervisor is killed."""

import ctypes
import os
import signal
import sys

VARIABLE = "WETREAD_PARENT"
PR_SET_PDEATHSIG = 1


def die_with_parent(number: int = signal.SIGTERM) -> None:
    """Asks Linux for signal `number` when the supervisor dies; does nothing for a role that was started by hand."""
    parent = os.environ.get(VARIABLE)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
    if os.getppid() != int(parent):
        os.kill(os.getpid(), number)


if __name__ == "__main__":
    # The wish survives exec: so a program that is not ours ends with the supervisor too.
    die_with_parent()
    os.execv(sys.argv[1], sys.argv[1:])  # noqa: S606  no shell is wanted
