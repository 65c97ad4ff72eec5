"""The reception desk: what the listener is for C-STORE, for what comes by HTTP. One for a web process."""

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from node.config import Settings
from node.errors import AssociationRejected
from node.inbound.receive import Receiver
from node.inbound.recorder import Recorder
from node.inbound.spool import Spool
from node.inbound.traffic import Lane, Traffic
from node.ledger import Ledger
from node.web.refusal import Refusal

log = logging.getLogger(__name__)

NAME = "web"
"""Under which associations of the desk stand in the ledger."""

RETRY_AFTER = 30
"""Seconds after which a sender that was sent away for lack of room may come again."""


HANDS = 16
"""Threads that judge and sync what came whole: their syncs share commits of the file system's journal."""


class Desk:
    """Judges by the listener's own `Receiver`, limits by its `Traffic`, from `start` to `stop`."""

    def __init__(self, settings: Settings, spool: Spool, ledger: Ledger) -> None:
        limits = settings.listen
        self.spool = spool
        self.ledger = ledger
        self.recorder = Recorder(ledger, spool)
        self.receiver = Receiver(spool, ledger, self.recorder, limits.inflate_ratio)
        self.inflate_ratio = limits.inflate_ratio
        self.max_bytes = limits.max_association_gb * 10**9
        self.patience = limits.idle_timeout.total_seconds()
        self.hands = ThreadPoolExecutor(HANDS, "stow")
        self._traffic = Traffic(limits, limits.max_associations, spool, ledger)

    def start(self) -> None:
        """Uploads that an earlier life left open are lost: their studies wait for the sender to come again."""
        if lost := self.ledger.lose_associations(NAME, time.time()):
            log.warning("%d uploads were under way when the web role died", lost)
        self.recorder.start()
        self._traffic.start()

    def stop(self) -> None:
        """Returns when all rows are written."""
        self._traffic.stop()
        self.hands.shutdown()
        self.recorder.stop()

    @contextmanager
    def seat(self, caller: str) -> Iterator[Lane]:
        """A place for one upload of `caller`, and its pace. Raises Refusal 503 when there is no room."""
        try:
            self._traffic.check_room()
            self._traffic.enter(caller)
        except AssociationRejected as error:
            self.recorder.count("uploads rejected")
            raise Refusal(503, str(error), retry_after=RETRY_AFTER, close=True) from None
        try:
            yield self._traffic.find_lane(caller)
        finally:
            self._traffic.leave(caller)
