"""The circuit breaker of one destination: the rules, on a circuit that lies in the ledger.

Closed, everything that is due goes out. After some failures in a row to reach the peer it opens: then one try a wait
goes out whatever lies ready, and nothing else counts as an attempt. A try that is answered closes it. The row survives
a restart, and is what `wetread peers`, the metrics and `wetread doctor` show.
"""

import logging
import time

from node.ledger import Ledger
from node.model.circuit import Circuit
from node.sections import Deliver

log = logging.getLogger(__name__)


class Breaker:
    """Guards `peer`. patience: seconds that a try may take, in which nobody else makes one."""

    def __init__(self, peer: str, rules: Deliver, ledger: Ledger) -> None:
        self._peer = peer
        self._rules = rules
        self._ledger = ledger
        self._circuit = ledger.find_circuits().get(peer, Circuit(peer))
        self._patience = 3 * rules.answer_wait.total_seconds()

    @property
    def is_open(self) -> bool:
        """As it was last seen."""
        return self._circuit.is_open

    def is_due(self, now: float) -> bool:
        """False while an open circuit waits for its next try; asks the ledger, where others may have hurried it."""
        if self._circuit.is_open:
            self._circuit = self._ledger.find_circuits().get(self._peer, Circuit(self._peer))
        return not self._circuit.is_open or self._circuit.next_at <= now

    def claim(self, now: float) -> bool:
        """True when this caller may go to the peer now; of an open circuit one only may."""
        return not self._circuit.is_open or self._ledger.claim_try(self._peer, now, now + self._patience)

    def fail(self, why: str) -> None:
        """The peer was not reached."""
        was_open = self._circuit.is_open
        rules = self._rules
        self._circuit = self._ledger.fail_circuit(
            self._peer, time.time(), why, rules.open_circuit_after, rules.find_pause
        )
        if self._circuit.is_open and not was_open:
            log.error("%s: circuit open after %d failures: %s", self._peer, self._circuit.failures, why)
        else:
            log.warning("%s: %s", self._peer, why)

    def succeed(self, answer: str) -> None:
        """The peer answered."""
        if self._circuit.is_open:
            log.info("%s answers again: circuit closed", self._peer)
        self._circuit = self._ledger.close_circuit(self._peer, time.time(), answer)
