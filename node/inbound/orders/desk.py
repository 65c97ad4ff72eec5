"""A message becomes an entry of the order book, and an answer.

In:  the bytes of one message.   Out: its acknowledgment; of what it says AA alone is sent once it is kept.
A crash before the answer leaves an entry that the sender, who heard nothing, makes again: the same one.
"""

import logging
import time
from traceback import format_tb

from node.config import Settings
from node.errors import MessageNotUnderstood
from node.messages import orders, patients
from node.messages.acknowledgment import make_acknowledgment
from node.messages.incoming import Incoming, read_incoming
from node.orders.book import OrderBook
from node.orders.patients import Demographics, PatientBook

log = logging.getLogger(__name__)

KINDS = orders.KINDS | patients.KINDS
EVENTS = {code for code, _ in KINDS}


class OrderDesk:
    """Takes messages one at a time or many at once."""

    def __init__(self, settings: Settings, book: OrderBook, patient_book: PatientBook) -> None:
        self._rules = settings.hl7
        self._name = settings.node.ae_title
        self._book = book
        self._patients = patient_book

    def take(self, block: bytes) -> bytes | None:
        """The acknowledgment; None for what is no message at all, of which nobody could say what is acknowledged."""
        try:
            message = read_incoming(block)
        except MessageNotUnderstood as error:
            log.warning("a message of %d bytes was not understood: %s", len(block), error)
            return None
        try:
            self._keep(message, time.time())
        except MessageNotUnderstood as error:
            log.warning("a message was refused: %s", error)
            return make_acknowledgment(message, self._name, error)
        except Exception as error:  # noqa: BLE001  a full disk or a bug of ours: the error's own words may quote it
            where = "".join(format_tb(error.__traceback__))
            log.error("a message could not be kept, its sender is told so: %s\n%s", type(error).__name__, where)
            fault = MessageNotUnderstood("it could not be kept now: send it again", "207")
            return make_acknowledgment(message, self._name, fault)
        return make_acknowledgment(message, self._name)

    def forget(self, before: float) -> None:
        """What was said of patients before then (epoch seconds)."""
        self._patients.forget(before)

    def _keep(self, message: Incoming, now: float) -> None:
        """Everything that `message` says is kept when this returns. Raises MessageNotUnderstood."""
        check_head(message)
        authority = self._rules.assigning_authority
        if message.kind == patients.UPDATE:
            update = patients.read_update(message, authority)
            self._patients.keep(Demographics(update.id, update.name, update.birth_date, update.sex, now))
        elif message.kind == patients.MERGE:
            for merge in patients.read_merges(message, authority):
                self._patients.merge(merge.old, merge.survivor, now)
        else:
            for order in orders.read_orders(message, self._rules, now):
                self._book.keep(order)


def check_head(message: Incoming) -> None:
    """Raises MessageNotUnderstood for what we do not read."""
    if not message.control_id:
        raise MessageNotUnderstood("it has no control id", "101", ("MSH", 10))
    if not message.version.startswith("2"):
        raise MessageNotUnderstood("it is of no version 2", "203", ("MSH", 12))
    if message.kind[0] not in EVENTS:
        raise MessageNotUnderstood("ORM^O01, OMI^O23, OMG^O19, ADT^A08 and ADT^A40 are read", "200", ("MSH", 9))
    if message.kind not in KINDS:
        raise MessageNotUnderstood("ORM^O01, OMI^O23, OMG^O19, ADT^A08 and ADT^A40 are read", "201", ("MSH", 9))
