"""What is finished goes when its time is over or the disk needs room; what is not finished never does.

In:  studies whose jobs have all ended, results of ended jobs, old quarantine, traces of what went.   Out: free space.
A file goes in two steps. First its row says that it is gone, then it moves to trash/; it is removed for good some time
later, and comes back if the row has been revived: a sender that brought the same content at that very moment was told
that it is kept, and it is.
"""

import logging
import shutil
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from threading import Event

from node.config import Settings
from node.errors import UnknownJob
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.model.delivery import DeliveryState
from node.model.job import FINAL, State
from node.model.study import Finished
from node.orders.book import OrderBook
from node.rounds import keep_going

log = logging.getLogger(__name__)

PAUSE = 60.0
"""Seconds between two rounds."""

AT_ONCE = 100
"""Studies in one round: the next one goes on."""

CHUNK = 1000
"""File names asked for at once."""

FORGET = 3600.0
"""Seconds between two looks for associations and requests of which no image is kept."""

TRACES = 1000
"""Studies whose associations are forgotten at once: the door waits meanwhile."""

TRASH_STAYS = 120.0
"""Seconds in trash/: longer than a row may wait for the ledger."""

UNSETTLED = (DeliveryState.PENDING, DeliveryState.SENT)
"""Of such an object a destination may still want the file."""


class Retention:
    """free_gb: asks for the free space of the spool's disk."""

    def __init__(self, settings: Settings, ledger: Ledger, spool: Spool, free_gb: Callable[[], float]) -> None:
        self._rules = settings.keep
        self._outbox = settings.outbox
        self._book = OrderBook(settings.order_book)
        self._keep_orders = settings.orders.keep.total_seconds()
        self._ledger = ledger
        self._spool = spool
        self._free_gb = free_gb
        self._is_swept = False
        self._forgot = 0.0

    def run(self, stop: Event) -> None:
        """A round each minute until `stop` is set."""
        keep_going("retention", self.tick, PAUSE, stop)

    def tick(self, now: float) -> None:
        """One round at `now` (epoch seconds)."""
        if not self._is_swept:
            self._throw_away_left()
            self._is_swept = True
        self._empty_trash(now)
        self._expire_old(now)
        self._make_room(now)
        self._clear_outbox(now)
        self._clear_quarantine(now)
        if now - self._forgot > FORGET:
            self._forgot = now
            self._book.forget(now - self._keep_orders)
            self._ledger.forget_traffic(now - self._rules.images.total_seconds(), TRACES)

    def _throw_away_left(self) -> None:
        """Files whose rows say that they are gone: a crash came between."""
        kept = self._spool.find_kept()
        while names := list(islice(kept, CHUNK)):
            for name in self._ledger.find_expired(names):
                self._spool.throw_away(name)

    def _empty_trash(self, now: float) -> None:
        names = self._spool.find_trash(now - TRASH_STAYS)
        expired = self._ledger.find_expired(names)
        for name in names:
            if name in expired:
                self._spool.empty(name)
            else:
                self._spool.bring_back(name)

    def _expire_old(self, now: float) -> None:
        before, failed_before = now - self._rules.images.total_seconds(), now - self._rules.failed.total_seconds()
        for study in self._ledger.find_finished(before, failed_before, AT_ONCE):
            self._expire(study, failed_before, now, "its time is over")

    def _make_room(self, now: float) -> None:
        """The oldest first. Studies with a failed job stay even now: somebody has still to look at them."""
        missing = (self._rules.free_gb - self._free_gb()) * 1e9 - self._spool.count_trash()
        failed_before = now - self._rules.failed.total_seconds()
        for study in self._ledger.find_finished(now, failed_before, AT_ONCE) if missing > 0 else ():
            self._expire(study, failed_before, now, f"less than keep.free_gb = {self._rules.free_gb:g} is free")
            missing -= study.size
            if missing <= 0:
                return

    def _expire(self, study: Finished, failed_before: float, now: float, why: str) -> None:
        names = self._ledger.expire_study(study, failed_before, now)
        for name in names:
            self._spool.throw_away(name)
        if names:
            log.info("study %s: %d files removed, %s", study.study_uid, len(names), why)

    def _clear_outbox(self, now: float) -> None:
        if not self._outbox.is_dir():
            return
        results, failed = (now - rule.total_seconds() for rule in (self._rules.results, self._rules.failed))
        for folder in self._outbox.iterdir():
            # No job ends before its last object is written: of a young folder the ledger need not be asked.
            if folder.stat().st_mtime < max(results, failed) and self._is_over(folder, results, failed):
                shutil.rmtree(folder)
                log.info("job %s: its results were removed from the outbox", folder.name)

    def _is_over(self, folder: Path, results: float, failed: float) -> bool:
        """True when the job of `folder` was CONFIRMED or CANCELED before `results`, or FAILED before `failed` with
        nothing left that may yet be sent."""
        try:
            job = self._ledger.get_job(folder.name)
        except UnknownJob:
            return folder.stat().st_mtime < results
        ended_at = self._ledger.find_history(job.id)[-1].at
        if job.state == State.FAILED:
            return ended_at < failed and not self._ledger.find_deliveries(job.id, states=UNSETTLED)
        return job.state in FINAL and ended_at < results

    def _clear_quarantine(self, now: float) -> None:
        before = now - self._rules.quarantine.total_seconds()
        for item in self._ledger.find_quarantined():
            if item.at < before:
                (self._spool.root / item.path).unlink(missing_ok=True)
                self._ledger.remove_quarantined(item.path)


def find_free_gb(folder: Path) -> float:
    """Free space of the file system under `folder`, in GB."""
    return shutil.disk_usage(folder).free / 1e9
