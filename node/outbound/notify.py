"""Peers are told which results are to be had, and where (Instance Availability Notification, PS3.4 annex R).

In:  notices in the ledger, made when their jobs became CONFIRMED.   Out: none left, and a line in each job's history.
A crash after the peer's answer tells again: the same uid, a duplicate for the peer. One thread per peer, which shares
the peer's circuit with who delivers to it.
"""

import logging
import time
from collections.abc import Sequence
from threading import Event

from pydicom import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association

from node.config import Settings
from node.dicom.availability import Available, make_notification
from node.dicom.uids import INSTANCE_AVAILABILITY_NOTIFICATION
from node.errors import PeerUnreachable
from node.ledger import Ledger
from node.model.delivery import DeliveryState
from node.model.notice import Notice
from node.outbound.answers import Answer
from node.outbound.breaker import Breaker
from node.outbound.confirm import find_place
from node.outbound.reactor import hold_reactor
from node.outbound.store import associate_peer
from node.rounds import keep_going

log = logging.getLogger(__name__)

TICK = 0.5
AT_ONCE = 50
"""Notices that go out in one round."""

TAKEN = frozenset({0x0000, 0x0107, 0x0111, 0x0116})
"""Success, the warnings of an N-CREATE, and a duplicate: it was told before (PS3.7 10.1.5.1.6)."""


class Notifier:
    """Serves one peer."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger) -> None:
        self._name = name
        self._peer = settings.peers[name]
        self._settings = settings
        self._ledger = ledger
        self._breaker = Breaker(name, settings.deliver, ledger)

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"notifying {self._name}", self.tick, TICK, stop, self._ledger.look)

    def tick(self, now: float) -> None:
        """Tells what is due."""
        if not self._breaker.is_due(now):
            return
        due = self._ledger.find_notices(self._name, now, AT_ONCE)
        if due and self._breaker.claim(now):
            self._tell_all(due)

    def _tell_all(self, due: list[Notice]) -> None:
        rules, peer = self._settings.deliver, self._peer
        contexts = [build_context(INSTANCE_AVAILABILITY_NOTIFICATION)]
        try:
            with associate_peer(
                self._settings.node.ae_title, peer, contexts, answer_wait=rules.answer_wait.total_seconds()
            ) as association:
                self._breaker.succeed("reached")
                while due:
                    self._tell(association, due[0])
                    due.pop(0)
        except PeerUnreachable as error:
            self._breaker.fail(str(error))
            self._postpone(due, str(error))
        except ValueError as error:
            self._postpone(due, f"it does not take availability notifications ({error})")

    def _tell(self, association: Association, notice: Notice) -> None:
        study_uid, available = self._find_available(notice)
        if not available:
            self._ledger.settle_notice(notice, time.time(), f"{self._name}: nothing to tell, no AE keeps the results")
            return
        answer = _send(association, make_notification(study_uid, available), notice.uid)
        if answer.status in TAKEN:
            told = f"{self._name} was told that {len(available)} objects are available"
            self._ledger.settle_notice(notice, time.time(), told)
        else:
            self._postpone([notice], f"it answers {answer.code}")

    def _find_available(self, notice: Notice) -> tuple[str, list[Available]]:
        """(Study Instance UID, what the destinations keep), each object with the AE titles of all that do."""
        found: dict[str, Available] = {}
        for delivery in self._ledger.find_deliveries(notice.job_id):
            peer = self._settings.peers.get(delivery.destination)
            place = find_place(delivery, self._ledger, self._settings.outbox)
            if delivery.state != DeliveryState.KEPT or peer is None or not peer.ae_title or place is None:
                continue
            uid = delivery.object.sop_instance_uid
            before = found[uid].titles if uid in found else ()
            found[uid] = Available(place[1], delivery.object.sop_class_uid, uid, (*before, peer.ae_title))
        return self._ledger.get_job(notice.job_id).study_uid, list(found.values())

    def _postpone(self, due: Sequence[Notice], why: str) -> None:
        """Later, after a wait that doubles; past deliver.give_up nobody tries any more."""
        log.warning("%s: %d availability notifications wait: %s", self._name, len(due), why)
        rules, now = self._settings.deliver, time.time()
        for notice in due:
            if now - notice.made_at > rules.give_up.total_seconds():
                self._ledger.settle_notice(notice, now, f"gave up telling {self._name} what is available: {why}")
            else:
                self._ledger.postpone_notice(notice, now + rules.find_pause(notice.attempts))


def _send(association: Association, notification: Dataset, uid: str) -> Answer:
    """The answer to one N-CREATE. Raises PeerUnreachable without one, ValueError where the class is not accepted."""
    try:
        with hold_reactor(association):
            status, _ = association.send_n_create(notification, INSTANCE_AVAILABILITY_NOTIFICATION, uid)
    except RuntimeError:
        raise PeerUnreachable("the association was ended before it was told") from None
    if "Status" not in status:
        raise PeerUnreachable("no answer to an availability notification")
    return Answer(int(status.Status), str(status.get("ErrorComment", "")))
