"""What ends a job that runs too long, or whose lease is lost: an alarm in the child's main thread, and, for code that
hears no alarm, the end of the process.

Python hears a signal between two of its own steps. A kernel that hangs in C never gets there: then faulthandler's
thread, which needs no interpreter, writes where every thread stands to the log and ends the process. Its lease runs
out, and housekeeping takes the job back.
"""

import faulthandler
import signal
import threading
from types import FrameType, TracebackType

from node.errors import LostLease, OutOfTime

GRACE = 30.0
"""Seconds between asking a job that ran out of time to stop and ending its process."""


class Leash:
    """Context manager, in the main thread: within it OutOfTime is raised after `limit_s` seconds, and LostLease when
    somebody calls `cut`; after `limit_s` and a grace the process ends."""

    def __init__(self, job_id: str, limit_s: float, grace_s: float = GRACE) -> None:
        self._job_id = job_id
        self._limit_s = limit_s
        self._grace_s = grace_s
        self._holds = False
        self._is_cut = False
        self._thread = threading.main_thread().ident or 0

    def cut(self) -> None:
        """From any thread: what runs within raises LostLease. After it nothing happens."""
        self._is_cut = True
        if self._holds:
            signal.pthread_kill(self._thread, signal.SIGALRM)

    def __enter__(self) -> "Leash":
        signal.signal(signal.SIGALRM, self._pull)
        self._holds = True
        faulthandler.dump_traceback_later(self._limit_s + self._grace_s, exit=True, file=2)
        signal.setitimer(signal.ITIMER_REAL, self._limit_s)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._holds = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGALRM, signal.SIG_IGN)  # one may be on its way, and would end the process by default

    def _pull(self, _number: int, _frame: FrameType | None) -> None:
        if not self._holds:
            return
        if self._is_cut:
            raise LostLease(f"job {self._job_id}: the lease was lost while it ran; what it made is thrown away")
        raise OutOfTime(f"the pipeline ran past its time limit of {self._limit_s:.0f} s")
