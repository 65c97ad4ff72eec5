"""Result objects go to one destination, over and over until it answers for each.

In:  deliveries PENDING in the ledger.   Out: SENT, KEPT or REFUSED, or PENDING again later.
A crash between the peer's success and our row sends the object again: same uid, same bytes, a no-op for the peer.
One thread per destination: a dead one never delays another.
"""

import logging
import time
from collections.abc import Sequence
from threading import Event

from pydicom.uid import generate_uid
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association

from node.config import Settings
from node.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, STUDY_ROOT_FIND
from node.errors import PeerUnreachable
from node.ledger import Ledger
from node.model.delivery import Delivery, DeliveryState, Kind
from node.outbound.confirm import ask_commitment, find_by_query, settle_report
from node.outbound.store import Answer, associate, make_contexts, read_kind, store_file
from node.rounds import keep_going
from node.sections import Confirm

log = logging.getLogger(__name__)

TICK = 0.1
REPORT_WAIT = 2.0
"""Seconds to keep the association open for a commitment report; a later one comes on an association of its own."""


class Deliverer:
    """Serves one destination."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger) -> None:
        self._name = name
        self._peer = settings.peers[name]
        self._settings = settings
        self._ledger = ledger

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"delivery to {self._name}", self.tick, TICK, stop)

    def tick(self, now: float) -> None:
        """Sends what is due, then asks to confirm what was sent."""
        pending = self._find_pending(now)
        unsure = self._ledger.find_deliveries(destination=self._name, states=[DeliveryState.SENT], due=now)
        unsure = [delivery for delivery in unsure if not self._gave_up(delivery)]
        if not pending and not unsure:
            return
        try:
            self._meet(pending, unsure)
        except PeerUnreachable as error:
            log.warning("%s: %s", self._name, error)
            for delivery in pending:
                self._later(delivery, f"PeerUnreachable: {error}")
            for delivery in unsure:
                self._ledger.move_delivery(delivery, DeliveryState.SENT, delivery.answer, self._next_try(delivery))

    def _find_pending(self, now: float) -> list[Delivery]:
        """What is due. While a segmentation that may yet be replaced waits, what names it waits too."""
        waiting = self._ledger.find_deliveries(destination=self._name, states=[DeliveryState.PENDING])
        held = {d.job_id for d in waiting if _is_replaceable(d) and d.next_at > now}
        return [d for d in waiting if d.next_at <= now and not (d.job_id in held and d.object.substitute)]

    def _meet(self, pending: Sequence[Delivery], unsure: Sequence[Delivery]) -> None:
        paths = {d.object.path: self._settings.outbox / d.object.path for d in pending}
        contexts = make_contexts([read_kind(path) for path in paths.values()])
        roles = []
        if self._peer.confirm == Confirm.COMMITMENT:
            contexts.append(build_context(STORAGE_COMMITMENT_PUSH_MODEL))
            roles.append(build_role(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=True, scp_role=False))
        if self._peer.confirm == Confirm.QUERY:
            contexts.append(build_context(STUDY_ROOT_FIND))
        address = (self._peer.host, self._peer.port)
        handlers: list[evt.EventHandlerType] = [(evt.EVT_N_EVENT_REPORT, self._on_report)]
        with associate(
            self._settings.node.ae_title, address, self._peer.ae_title, contexts, handlers, roles
        ) as association:
            self._confirm(association, [*self._send_all(association, pending), *unsure])

    def _send_all(self, association: Association, pending: Sequence[Delivery]) -> list[Delivery]:
        """Those that the peer took."""
        sent, held = [], set()
        for delivery in pending:
            if delivery.job_id in held and delivery.object.substitute:
                continue
            if self._send(association, delivery):
                sent.append(delivery)
            elif _is_replaceable(delivery):
                held.add(delivery.job_id)
        return sent

    def _send(self, association: Association, delivery: Delivery) -> bool:
        """True when the peer took it."""
        answer = store_file(association, self._settings.outbox / delivery.object.path)
        if answer.is_success:
            return self._ledger.move_delivery(delivery, DeliveryState.SENT, str(answer), time.time())
        if answer.is_later:
            self._later(delivery, str(answer))
        elif _is_replaceable(delivery) and self._ledger.replace_deliveries(delivery, str(answer), time.time()):
            log.info("%s takes no label maps (%s): job %s goes there as BINARY", self._name, answer, delivery.job_id)
        else:
            self._ledger.move_delivery(delivery, DeliveryState.REFUSED, str(answer), 0.0)
            log.error("%s refuses %s: %s", self._name, delivery.object.sop_instance_uid, answer)
        return False

    def _confirm(self, association: Association, deliveries: Sequence[Delivery]) -> None:
        sent = [d for d in self._refresh(deliveries) if d.state == DeliveryState.SENT]
        if not sent:
            return
        if self._peer.confirm == Confirm.NONE:
            for delivery in sent:
                self._ledger.move_delivery(
                    delivery, DeliveryState.KEPT, "sent, confirmation not asked for", 0.0, asked=("", time.time())
                )
        elif self._peer.confirm == Confirm.QUERY:
            for delivery in sent:
                self._ask_by_query(association, delivery)
        else:
            self._ask_to_commit(association, sent)

    def _ask_by_query(self, association: Association, delivery: Delivery) -> None:
        if find_by_query(association, delivery, self._settings.outbox):
            self._ledger.move_delivery(delivery, DeliveryState.KEPT, "found by query", 0.0, asked=("", time.time()))
        else:
            self._later(delivery, "the peer answered success, but does not list the instance")

    def _ask_to_commit(self, association: Association, sent: Sequence[Delivery]) -> None:
        """The transaction is in the ledger before the peer can answer it."""
        transaction, now = str(generate_uid(prefix=None)), time.time()
        again = now + self._settings.deliver.commit_wait.total_seconds()
        for delivery in sent:
            self._ledger.move_delivery(delivery, DeliveryState.SENT, "asked to commit", again, asked=(transaction, now))
        if not any(c.abstract_syntax == STORAGE_COMMITMENT_PUSH_MODEL for c in association.accepted_contexts):
            log.warning("%s does not offer storage commitment: set its `confirm` to query or none", self._name)
            return
        status = ask_commitment(association, sent, transaction)
        if status != 0x0000:
            log.warning("%s answers %s to the storage commitment request", self._name, Answer(status))
            return
        patience = time.monotonic() + REPORT_WAIT
        while time.monotonic() < patience and association.is_established:
            if all(d.state != DeliveryState.SENT for d in self._refresh(sent)):
                return
            time.sleep(0.02)

    def _on_report(self, event: evt.Event) -> tuple[int, None]:
        settle_report(self._ledger, event.event_information, time.time() + 1.0)
        return 0x0000, None

    def _refresh(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        wanted = {d.object.sop_instance_uid for d in deliveries}
        jobs = {d.job_id for d in deliveries}
        rows = [d for job in jobs for d in self._ledger.find_deliveries(job, self._name)]
        return [d for d in rows if d.object.sop_instance_uid in wanted]

    def _later(self, delivery: Delivery, answer: str) -> None:
        """PENDING again after a wait that doubles; past deliver.give_up it counts as refused."""
        if time.time() - delivery.made_at > self._settings.deliver.give_up.total_seconds():
            self._ledger.move_delivery(delivery, DeliveryState.REFUSED, f"gave up: {answer}", 0.0)
        else:
            self._ledger.move_delivery(delivery, DeliveryState.PENDING, answer, self._next_try(delivery))

    def _gave_up(self, delivery: Delivery) -> bool:
        """A destination that took an object, but never said that it keeps it."""
        if time.time() - delivery.made_at <= self._settings.deliver.give_up.total_seconds():
            return False
        return self._ledger.move_delivery(delivery, DeliveryState.REFUSED, "gave up: sent, but never confirmed", 0.0)

    def _next_try(self, delivery: Delivery) -> float:
        return time.time() + self._settings.deliver.find_pause(delivery.attempts)


def _is_replaceable(delivery: Delivery) -> bool:
    """A segmentation in a form that not every peer takes."""
    return delivery.object.kind == Kind.SEGMENTATION and bool(delivery.object.substitute)
