"""What an answer of a destination does to a delivery: the rows that follow from it.

A delivery that took a warning is a success, and the warning stays visible. One that time may cure waits, longer each
time, until `deliver.give_up`. One that is refused is replaced by its substitute where it has one, or REFUSED.
"""

import logging
import time

from node.ledger import Ledger
from node.model.delivery import Delivery, DeliveryState
from node.outbound.answers import Answer
from node.outbound.lanes import is_replaceable
from node.sections import Deliver

log = logging.getLogger(__name__)

PROCESSING_FAILURE = 0x0110
TRIES_OF_A_FORM = 3
"""Some archives say "processing failure" of what they will never understand: of a segmentation that could go in another
form it is believed so many times."""


class Outcome:
    """Writes the answers of one destination into the ledger."""

    def __init__(self, peer: str, rules: Deliver, ledger: Ledger) -> None:
        self._peer = peer
        self._rules = rules
        self._ledger = ledger

    def settle(self, delivery: Delivery, answer: Answer, *, counted: bool = True) -> bool:
        """True when the peer has the object now. counted: that this was a try counts as an attempt."""
        if answer.is_success:
            if answer.note:
                log.warning("%s took %s with %s", self._peer, delivery.object.sop_instance_uid, answer.code)
            at = time.time()
            return self._ledger.move_delivery(delivery, DeliveryState.SENT, str(answer), at, note=answer.note)
        if answer.is_later and not _is_misunderstood(delivery, answer):
            self.postpone(delivery, str(answer), counted=counted)
        elif is_replaceable(delivery) and self._ledger.replace_deliveries(delivery, str(answer), time.time()):
            log.info("%s takes no label maps (%s): job %s goes as BINARY", self._peer, answer.code, delivery.job_id)
        else:
            self.refuse(delivery, str(answer), answer.code)
        return False

    def postpone(self, delivery: Delivery, why: str, *, counted: bool = True) -> None:
        """PENDING after a wait that doubles; past deliver.give_up it counts as refused."""
        if not self.give_up(delivery, why):
            next_at = time.time() + self._rules.find_pause(delivery.attempts)
            self._ledger.move_delivery(delivery, DeliveryState.PENDING, why, next_at, counted=counted)

    def give_up(self, delivery: Delivery, why: str) -> bool:
        """REFUSED when its time is over; False when it is not."""
        if time.time() - delivery.made_at <= self._rules.give_up.total_seconds():
            return False
        return self._ledger.move_delivery(delivery, DeliveryState.REFUSED, f"gave up: {why}", 0.0)

    def refuse(self, delivery: Delivery, why: str, shown: str) -> None:
        """shown: what a log may say of it."""
        self._ledger.move_delivery(delivery, DeliveryState.REFUSED, why, 0.0)
        log.error("%s refuses %s: %s", self._peer, delivery.object.sop_instance_uid, shown)


def _is_misunderstood(delivery: Delivery, answer: Answer) -> bool:
    tried = delivery.attempts + 1 >= TRIES_OF_A_FORM
    return answer.status == PROCESSING_FAILURE and tried and is_replaceable(delivery)
