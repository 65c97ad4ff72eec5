"""While a job runs, its lease is renewed; a worker that falls silent loses it."""

import logging
import time
from collections.abc import Callable
from threading import Event, Thread
from types import TracebackType

from node.ledger import Ledger
from node.model.job import Job

log = logging.getLogger(__name__)


class Heartbeat:
    """Context manager: renews the lease of `job` three times per lease until left or lost; `on_loss` is called from a
    thread of its own when it is lost, to another worker or because the job was canceled."""

    def __init__(self, ledger: Ledger, job: Job, lease_s: float, on_loss: Callable[[], None]) -> None:
        self._ledger = ledger
        self._job = job
        self._lease_s = lease_s
        self._on_loss = on_loss
        self._stop = Event()
        self._thread = Thread(target=self._beat, name=f"heartbeat-{job.id}", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self._lease_s / 3):
            try:
                if not self._ledger.extend_lease(self._job.id, self._job.token, time.time() + self._lease_s):
                    log.warning("job %s: the lease is lost", self._job.id)
                    self._on_loss()
                    return
            except Exception:
                log.exception("job %s: the heartbeat stumbled; it tries again", self._job.id)
