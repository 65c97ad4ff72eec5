"""What the ledger is told of this child, idle or not: that it is there, what it holds, which job it has at hand.

Written from threads of its own, never by the thread that runs jobs; what goes wrong here is logged and tried again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread

from node.heap import give_back
from node.ledger import Ledger
from node.model.worker import Worker
from workers.memory import find_reserved_mb, find_resident_mb

log = logging.getLogger(__name__)

IDLE_S = 10.0
"""Seconds between two beats of a child that has no job."""
REST_S = 300.0
"""Seconds without a job after which the memory that is kept for the next one goes back to the system (node.heap)."""
LEAST_BEAT_S = 1.0
"""However short the lease: people look, no job waits for it."""


class Presence:
    """One child's row in the ledger. find_models: names of the models that are warm, called from another thread."""

    def __init__(
        self,
        ledger: Ledger,
        name: str,
        lanes: Sequence[str],
        device: str,
        find_models: Callable[[], Sequence[str]],
        idle_s: float = IDLE_S,
    ) -> None:
        self._ledger = ledger
        self._name, self._lanes, self._device = name, tuple(lanes), device
        self._find_models = find_models
        self._idle_s = self._beat_s = idle_s
        self._started_at = time.time()
        self._job_id = ""
        self._told: tuple[str, float] | None = None
        self._free_since: float | None = None
        self._writes = Lock()
        self._wake, self._stop = Event(), False

    def start(self) -> None:
        """From now on the row is kept up, by a thread that ends with the process."""
        Thread(target=self._keep, name="presence", daemon=True).start()

    def take(self, job_id: str, beat_s: float) -> None:
        """A job is at hand; its heartbeat calls `tell`. Writes nothing: a short job costs no row."""
        self._job_id, self._beat_s = job_id, max(beat_s, LEAST_BEAT_S)
        self._free_since = None

    def release(self) -> None:
        """No job is at hand. Where the ledger names one, the thread says so soon."""
        self._job_id, self._beat_s = "", self._idle_s
        self._free_since = time.monotonic()
        if self._told is not None and self._told[0]:
            self._wake.set()

    def tell(self) -> None:
        """Writes the row when a beat is due or the job is another. Never raises, never waits for another thread."""
        job_id, beat_s, clock = self._job_id, self._beat_s, time.monotonic()
        if self._told is not None and self._told[0] == job_id and clock - self._told[1] < 0.9 * beat_s:
            return
        if self._stop or not self._writes.acquire(blocking=False):
            return
        try:
            self._ledger.put_worker(self._look(job_id, beat_s))
            self._told = (job_id, clock)
        except Exception:
            log.exception("worker %s could not say that it is there; it tries again", self._name)
        finally:
            self._writes.release()

    def leave(self) -> None:
        """The child ends as it should: its row goes. Never raises."""
        self._stop = True
        try:
            with self._writes:
                self._ledger.remove_worker(self._name)
        except Exception:
            log.exception("worker %s could not sign off; it will be shown as gone", self._name)

    def _keep(self) -> None:
        while not self._stop:
            self.tell()
            self._rest()
            self._wake.wait(self._idle_s)
            self._wake.clear()

    def _rest(self) -> None:
        since = self._free_since
        if since is not None and time.monotonic() - since > REST_S:
            self._free_since = None
            give_back()

    def _look(self, job_id: str, beat_s: float) -> Worker:
        return Worker(
            self._name,
            self._lanes,
            self._device,
            tuple(self._find_models()),
            round(find_resident_mb(), 1),
            round(find_reserved_mb(self._device), 1),
            job_id,
            self._started_at,
            time.time(),
            beat_s,
        )
