"""An order that is told, or told anew, once its job waits: the job gets the priority that the order has by now.

In:  orders that came into the book.   Out: jobs QUEUED with another priority, and why in their history.
Jobs that run are left alone, as are those whose route fixes a priority. What an operator or the worklist asked for
stands until the order says something else. A crash between the job and the note of it looks at the order once more.
"""

from collections.abc import Sequence
from contextlib import suppress
from threading import Event

from pydicom import Dataset

from node.config import Settings
from node.dicom.header import find_value, read_header
from node.errors import CannotUnderstand, LostLease
from node.inbound.ordered import add_orders
from node.ledger import Ledger
from node.model.job import Job, State
from node.model.order import Order, Source
from node.orders.book import OrderBook
from node.rounds import keep_going

PAUSE = 1.0

OVERLAP = 60.0
"""Seconds before the newest order that was seen: what another process told then may have come into the book since."""

WORDS: dict[Source, str] = {"hl7": "an order message", "mwl": "the modality worklist"}


class OrderFollower:
    """Follows one order book."""

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._book = OrderBook(settings.order_book)
        self._fixed = frozenset(route.name for route in settings.routes if route.priority is not None)
        self._numbers: dict[str, frozenset[str]] = {}
        self._seen: frozenset[Order] = frozenset()
        self._since = 0.0

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going("following orders", self.tick, PAUSE, stop)

    def tick(self, now: float) -> None:
        """Looks at the orders that were told since the last round; in the first, at all."""
        told = self._book.find_since(self._since)
        fresh = [order for order in told if order not in self._seen]
        if fresh:
            jobs = [job for job in self._ledger.find_jobs(states=[State.QUEUED]) if job.route not in self._fixed]
            self._numbers = {job.id: self._find_numbers(job) for job in jobs}
            for job in jobs:
                if about := [order for order in fresh if self._is_about(order, job)]:
                    self._follow(job, about, now)
        self._seen = frozenset(told)
        self._since = told[-1].at - OVERLAP if told else self._since

    def _is_about(self, order: Order, job: Job) -> bool:
        return order.study_uid == job.study_uid or order.accession_number in self._numbers[job.id]

    def _follow(self, job: Job, about: Sequence[Order], now: float) -> None:
        """Where what was told last, of `about`, says another priority than was said before."""
        ours = add_orders(self._read_headers(job), self._book).find(job.series_uids)
        words = [order for order in about if order.priority and ours and is_same_request(order, ours)]
        if not words or (priority := words[-1].priority) is None or priority == self._book.find_followed(job.id):
            return
        if priority != job.priority:
            why = f"{WORDS[words[-1].source]} says so"
            with suppress(LostLease):  # it runs by now
                self._ledger.set_priority(job, priority, now, "orders", why)
        self._book.note_followed(job.id, priority, now)

    def _find_numbers(self, job: Job) -> frozenset[str]:
        """The accession numbers of its images, which are read once."""
        known = self._numbers.get(job.id)
        if known is not None:
            return known
        values = (find_value(header, "AccessionNumber") for header in self._read_headers(job).values())
        return frozenset(str(value).strip() for value in values if value)

    def _read_headers(self, job: Job) -> dict[str, Dataset]:
        """Series Instance UID -> a header of it that can be read."""
        headers: dict[str, Dataset] = {}
        for one in self._ledger.find_instances(job.study_uid, job.series_uids):
            if one.is_image and one.series_uid not in headers:
                with suppress(CannotUnderstand, FileNotFoundError):
                    headers[one.series_uid] = read_header(self._settings.spool / one.path)
        return headers


def is_same_request(one: Order, other: Order) -> bool:
    """Whether they speak of the same requested procedure of the same patient, as far as both say. Another source, or a
    later message, may leave out the study's uid or the procedure's id."""
    names = ("study_uid", "accession_number", "issuer", "requested_procedure_id")
    pairs = [(getattr(one, name), getattr(other, name)) for name in names]
    return one.patient_id == other.patient_id and all(a == b for a, b in pairs if a and b)
