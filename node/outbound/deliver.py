"""Result objects go to one destination, over and over until it answers for each.

In:  deliveries PENDING in the ledger.   Out: SENT, KEPT or REFUSED, or PENDING again later.
A crash between the peer's success and our row sends the object again: same uid, same bytes, a no-op for the peer.
One thread per destination, and a circuit breaker for each: a dead one never delays another, and costs one try a wait.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from threading import Event

from node.config import Settings
from node.errors import PeerUnreachable
from node.ledger import Ledger
from node.model.delivery import Delivery, DeliveryState
from node.outbound.breaker import Breaker
from node.outbound.dicom_line import open_dicom_line
from node.outbound.lanes import is_replaceable, make_batches, split
from node.outbound.line import Line
from node.outbound.moment import Moment
from node.outbound.outcome import Outcome
from node.outbound.stow import open_stow_line
from node.rounds import keep_going
from node.sections import DeliverBy

log = logging.getLogger(__name__)

TICK = 0.1

AT_ONCE = 500
"""Objects that go out in one round."""


@dataclass(slots=True)
class Served:
    """What came of one lane. answer: the last one, "" when the peer said nothing; fault: why it was not reached."""

    answer: str = ""
    fault: str = ""


class Deliverer:
    """Serves one destination."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger) -> None:
        self._name = name
        self._peer = settings.peers[name]
        self._settings = settings
        self._ledger = ledger
        self._breaker = Breaker(name, settings.deliver, ledger)
        self._outcome = Outcome(name, settings.deliver, ledger)

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"delivery to {self._name}", self.tick, TICK, stop, self._ledger.look)

    def tick(self, now: float) -> None:
        """Sends what is due, then asks to confirm what was sent; of an open circuit one object alone, as a try."""
        if not self._breaker.is_due(now):
            return
        pending, unsure = self._find_pending(now), self._find_unsure(now)
        if (pending or unsure) and self._breaker.claim(now):
            self._meet(pending[:1] if self._breaker.is_open else pending, unsure)

    def _find_pending(self, now: float) -> list[Delivery]:
        """What is due, see `Ledger.find_due`."""
        return [d for d in self._ledger.find_due(self._name, now, AT_ONCE) if self._has_file(d)]

    def _has_file(self, delivery: Delivery) -> bool:
        if (self._settings.outbox / delivery.object.path).is_file():
            return True
        text = "its file is gone from the outbox"
        self._outcome.refuse(delivery, text, text)
        return False

    def _find_unsure(self, now: float) -> list[Delivery]:
        """What the peer took without saying that it keeps it, and is to be asked for now."""
        sent = self._ledger.find_deliveries(destination=self._name, states=[DeliveryState.SENT], due=now)
        return [d for d in sent if not self._outcome.give_up(d, f"sent, but never confirmed ({d.answer})")]

    def _meet(self, pending: Sequence[Delivery], unsure: Sequence[Delivery]) -> None:
        """On one line, or on as many as the peer is allowed at once."""
        lanes = split(pending, self._peer.associations, self._find_size) or [[]]
        tasks = [(lane, () if number else unsure) for number, lane in enumerate(lanes)]
        if len(tasks) == 1:
            served = [self._serve(*tasks[0])]
        else:
            with ThreadPoolExecutor(len(tasks), thread_name_prefix=f"to {self._name}") as pool:
                served = list(pool.map(lambda task: self._serve(*task), tasks))
            if not any(one.answer for one in served):
                # Who allows fewer may refuse all that ask at one moment, again and again: one alone is heard.
                served = [self._serve(pending, unsure)]
        faults = [one.fault for one in served if one.fault]
        if answers := [one.answer for one in served if one.answer]:
            self._breaker.succeed(answers[-1])
            if faults:
                log.warning("%s serves %d of %d associations: %s", self._name, len(answers), len(lanes), faults[0])
        else:
            self._fail(pending, unsure, faults[0])

    def _serve(self, pending: Sequence[Delivery], unsure: Sequence[Delivery]) -> Served:
        served = Served()
        try:
            with self._open(pending) as line:
                sent = self._send_all(line, pending, served)
                if served.answer or not pending:
                    line.confirm([*sent, *unsure])
                    served.answer = served.answer or "reached"
        except PeerUnreachable as error:
            served.fault = str(error)
        if not served.answer and not served.fault:
            served.fault = "takes the association, but answers nothing"
        return served

    def _open(self, pending: Sequence[Delivery]) -> AbstractContextManager[Line]:
        if self._peer.delivered_by == DeliverBy.STOW:
            return open_stow_line(self._name, self._settings, self._ledger)
        return open_dicom_line(self._name, self._settings, self._ledger, pending)

    def _send_all(self, line: Line, pending: Sequence[Delivery], served: Served) -> list[Delivery]:
        """Those that the peer took. What a line that broke down did not carry stays as it was."""
        sent, held = [], set()
        for batch in make_batches(pending, line.most):
            ready = [d for d in batch if not (d.job_id in held and d.object.substitute)]
            for delivery, answer in line.store(ready):
                served.answer = served.answer if answer.status is None else answer.code
                if self._outcome.settle(delivery, answer, counted=not self._breaker.is_open):
                    sent.append(delivery)
                elif is_replaceable(delivery):
                    held.add(delivery.job_id)
            if not line.is_up:
                break
        return sent

    def _fail(self, pending: Sequence[Delivery], unsure: Sequence[Delivery], fault: str) -> None:
        """While the circuit is closed this was an attempt at each; while it is open it is none, but time passes."""
        was_open = self._breaker.is_open
        self._breaker.fail(fault)
        if was_open:
            for delivery in self._ledger.find_deliveries(destination=self._name, states=[DeliveryState.PENDING]):
                self._outcome.give_up(delivery, f"PeerUnreachable: {fault}")
            return
        moment, these = Moment(self._settings.deliver), {delivery.object.sop_instance_uid for delivery in pending}
        # One that was given no answer on a line has its next try already.
        due = self._ledger.find_deliveries(destination=self._name, states=[DeliveryState.PENDING], due=moment.now)
        for delivery in due:
            if delivery.object.sop_instance_uid in these:
                self._outcome.postpone(delivery, f"PeerUnreachable: {fault}")
        for delivery in unsure:
            again = moment.find_next_ask(delivery.asks)
            self._ledger.move_delivery(delivery, DeliveryState.SENT, delivery.answer, again)

    def _find_size(self, delivery: Delivery) -> int:
        return (self._settings.outbox / delivery.object.path).stat().st_size
