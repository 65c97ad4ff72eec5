"""Storage commitment reports that a peer did not wait for, on an association of our own (PS3.4 J.3.3).

In:  requests in the ledger that were not reported.   Out: none left.
A crash after the peer's answer reports again: the same transaction, a no-op for the peer. One thread per peer, which
shares the peer's circuit with who delivers to it.
"""

import logging
import time
from threading import Event

from pynetdicom import build_context, build_role

from node.config import Settings
from node.dicom.commitment import make_report
from node.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
from node.errors import PeerUnreachable
from node.ledger import Ledger
from node.model.commitment import Commitment
from node.outbound.answers import Answer
from node.outbound.breaker import Breaker
from node.outbound.reactor import hold_reactor
from node.outbound.store import associate_peer
from node.rounds import keep_going

log = logging.getLogger(__name__)

TICK = 1.0


class Reporter:
    """Serves one peer."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger) -> None:
        self._name = name
        self._peer = settings.peers[name]
        self._settings = settings
        self._ledger = ledger
        self._breaker = Breaker(name, settings.deliver, ledger)

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"reporting to {self._name}", self.tick, TICK, stop, self._ledger.look)

    def tick(self, now: float) -> None:
        """Reports what is due."""
        if not self._breaker.is_due(now):
            return
        due = self._ledger.find_commitments(self._peer.ae_title, now)
        if not due or not self._breaker.claim(now):
            return
        role = build_role(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=False, scp_role=True)
        contexts = [build_context(STORAGE_COMMITMENT_PUSH_MODEL)]
        ours = self._settings.node.ae_title
        patience = self._settings.deliver.answer_wait.total_seconds()
        try:
            with associate_peer(ours, self._peer, contexts, roles=[role], answer_wait=patience) as association:
                self._breaker.succeed("reached")
                for commitment in due:
                    held = self._ledger.find_classes([uid for _, uid in commitment.references])
                    kind, report = make_report(commitment.transaction_uid, commitment.references, held)
                    with hold_reactor(association):
                        status, _ = association.send_n_event_report(
                            report, kind, STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
                        )
                    self._settle(commitment, int(status.Status) if "Status" in status else None)
        except PeerUnreachable as error:
            self._breaker.fail(str(error))
            self._postpone(due, str(error))
        except ValueError as error:
            self._postpone(due, f"{self._name} does not take storage commitment reports ({error})")

    def _settle(self, commitment: Commitment, status: int | None) -> None:
        if status == 0x0000:
            self._ledger.settle_commitment(commitment.transaction_uid)
        else:
            self._postpone([commitment], f"{self._name} answers {Answer(status)} to a storage commitment report")

    def _postpone(self, due: list[Commitment], why: str) -> None:
        """Later, after a wait that doubles; past deliver.give_up nobody waits for it any more."""
        log.warning("%d storage commitment reports wait: %s", len(due), why)
        rules = self._settings.deliver
        now = time.time()
        for commitment in due:
            if now - commitment.asked_at > rules.give_up.total_seconds():
                self._ledger.settle_commitment(commitment.transaction_uid)
                continue
            self._ledger.postpone_commitment(commitment.transaction_uid, now + rules.find_pause(commitment.attempts))
