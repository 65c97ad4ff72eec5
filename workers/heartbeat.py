"""While a job runs, its lease is renewed and its progress told; a worker that falls silent loses the job."""

import logging
import time
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType

from node.ledger import Ledger
from node.model.job import Job
from workers.activity import Activity

log = logging.getLogger(__name__)

TOLD_EVERY = 1.0
"""Seconds between two writes of progress."""


class Heartbeat:
    """Context manager: renews the lease of `job` three times per lease until left or lost; `on_loss` is called from a
    thread of its own when it is lost, to another worker or because the job was canceled.

    activity: written to the job once a second where it changed, never after the lease was lost. on_beat: called in the
    same thread, about once a second.
    """

    def __init__(
        self,
        ledger: Ledger,
        job: Job,
        lease_s: float,
        on_loss: Callable[[], None],
        activity: Activity | None = None,
        on_beat: Callable[[], None] | None = None,
    ) -> None:
        self._ledger = ledger
        self._job = job
        self._lease_s = lease_s
        self._on_loss = on_loss
        self._activity = activity
        self._on_beat = on_beat
        self._told = (0.0, "")
        self._stop = Event()
        self._thread = Thread(target=self._beat, name=f"heartbeat-{job.id}", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        due = time.monotonic() + self._lease_s / 3
        while not self._stop.wait(min(max(due - time.monotonic(), 0.0), TOLD_EVERY)):
            try:
                if time.monotonic() >= due:
                    due = time.monotonic() + self._lease_s / 3
                    if not self._ledger.extend_lease(self._job.id, self._job.token, time.time() + self._lease_s):
                        log.warning("job %s: the lease is lost", self._job.id)
                        self._on_loss()
                        return
                self._tell()
            except Exception:
                log.exception("job %s: the heartbeat stumbled; it tries again", self._job.id)

    def _tell(self) -> None:
        """After the lease, which matters: what people like to know."""
        if self._activity is not None and (said := self._activity.read()) != self._told:
            self._ledger.note_progress(self._job.id, self._job.token, *said)
            self._told = said
        if self._on_beat is not None:
            self._on_beat()
