"""A destination by association: C-STORE, then storage commitment or C-FIND on the same one (PS3.4 annexes B, C, J)."""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydicom.uid import generate_uid
from pynetdicom import build_context, build_role, evt
from pynetdicom.association import Association

from node.config import Settings
from node.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, STUDY_ROOT_FIND
from node.ledger import Ledger
from node.model.delivery import Delivery, DeliveryState
from node.outbound.answers import Answer
from node.outbound.confirm import ask_commitment, find_by_query, keep_unasked, settle_query, settle_report
from node.outbound.moment import Moment
from node.outbound.store import associate_peer, make_contexts, read_kind, store_file
from node.sections import Confirm

log = logging.getLogger(__name__)

REPORT_WAIT = 2.0
"""Seconds to keep the association open for a commitment report; a later one comes on an association of its own."""


@contextmanager
def open_dicom_line(
    name: str, settings: Settings, ledger: Ledger, pending: Sequence[Delivery]
) -> Iterator["DicomLine"]:
    """An association for `pending` and its confirmation. Raises PeerUnreachable."""
    peer = settings.peers[name]
    paths = {d.object.path: settings.outbox / d.object.path for d in pending}
    contexts = make_contexts([read_kind(path) for path in paths.values()])
    roles = []
    if peer.confirm == Confirm.COMMITMENT:
        contexts.append(build_context(STORAGE_COMMITMENT_PUSH_MODEL))
        roles.append(build_role(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=True, scp_role=False))
    if peer.confirm == Confirm.QUERY:
        contexts.append(build_context(STUDY_ROOT_FIND))

    def on_report(event: evt.Event) -> tuple[int, None]:
        settle_report(ledger, event.event_information, settings.deliver)
        return 0x0000, None

    handlers: list[evt.EventHandlerType] = [(evt.EVT_N_EVENT_REPORT, on_report)]
    patience = settings.deliver.answer_wait.total_seconds()
    with associate_peer(settings.node.ae_title, peer, contexts, handlers, roles, patience) as association:
        yield DicomLine(name, settings, ledger, association)


class DicomLine:
    """See `line.Line`."""

    most = 1

    def __init__(self, name: str, settings: Settings, ledger: Ledger, association: Association) -> None:
        self._name = name
        self._confirm = settings.peers[name].confirm
        self._settings = settings
        self._ledger = ledger
        self._association = association

    @property
    def is_up(self) -> bool:
        return bool(self._association.is_established)

    def store(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[Delivery, Answer]]:
        for delivery in deliveries:
            yield delivery, store_file(self._association, self._settings.outbox / delivery.object.path)

    def confirm(self, deliveries: Sequence[Delivery]) -> None:
        sent = [d for d in self._refresh(deliveries) if d.state == DeliveryState.SENT]
        if self._confirm == Confirm.NONE:
            keep_unasked(self._ledger, sent)
        elif self._confirm == Confirm.QUERY:
            for delivery in sent:
                listed, seen = find_by_query(self._association, delivery, self._ledger, self._settings.outbox)
                settle_query(self._ledger, delivery, listed, seen, self._settings.deliver)
        elif sent:
            self._ask_to_commit(sent)

    def _ask_to_commit(self, sent: Sequence[Delivery]) -> None:
        """The transaction is in the ledger before the peer can answer it; each request has one of its own."""
        if not self.is_up:
            return
        transaction, moment = str(generate_uid(prefix=None)), Moment(self._settings.deliver)
        for delivery in sent:
            again, asked = moment.find_next_ask(delivery.asks), (transaction, moment.now)
            self._ledger.move_delivery(delivery, DeliveryState.SENT, "asked to commit", again, asked=asked)
        if fault := self._request(sent, transaction):
            log.warning("%s: %s", self._name, fault)
            for delivery in self._refresh(sent):
                if delivery.state == DeliveryState.SENT:
                    self._ledger.move_delivery(delivery, DeliveryState.SENT, fault, delivery.next_at)
            return
        patience = time.monotonic() + REPORT_WAIT
        while time.monotonic() < patience and self.is_up:
            if all(d.state != DeliveryState.SENT for d in self._refresh(sent)):
                return
            time.sleep(0.02)

    def _request(self, sent: Sequence[Delivery], transaction: str) -> str:
        """What is wrong with the request; "" when the peer took it."""
        if not any(c.abstract_syntax == STORAGE_COMMITMENT_PUSH_MODEL for c in self._association.accepted_contexts):
            return "does not offer storage commitment: set its `confirm` to query or none"
        status = ask_commitment(self._association, sent, transaction)
        return "" if status == 0x0000 else f"answers the storage commitment request with {Answer(status).code}"

    def _refresh(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        wanted = {d.object.sop_instance_uid for d in deliveries}
        jobs = {d.job_id for d in deliveries}
        rows = [d for job in jobs for d in self._ledger.find_deliveries(job, self._name)]
        return [d for d in rows if d.object.sop_instance_uid in wanted]
