"""What was ordered, as routing meets it: waited for a while, added to the headers, told to the jobs.

In:  a study that is complete, the worklists' answers, the order book.   Out: headers that also say what the order says;
jobs with its priority, and each job's order in the book.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pydicom import Dataset

from node.config import Settings
from node.dicom.request import add_request
from node.errors import OrderRefused
from node.model.expectation import Expectation, Kind
from node.model.job import Job
from node.model.order import Order
from node.model.study import Study
from node.orders.book import OrderBook
from node.orders.fit import find_order


class OrderWait:
    """A complete study waits for the worklists, `orders.wait` and no longer. Which waits since when is in memory: after
    a restart one waits at most that long again."""

    def __init__(self, settings: Settings) -> None:
        self._peers = frozenset(name for name, peer in settings.peers.items() if peer.worklist)
        self._wait = settings.orders.wait.total_seconds()
        self._since: dict[str, float] = {}

    def find_reason(self, study: Study, said: Iterable[Expectation], now: float) -> str:
        """For what it waits; "" when it waits no more, or nobody is asked."""
        if not self._peers:
            return ""
        silent = self._find_silent(said)
        since = self._since.setdefault(study.study_uid, now)
        return f"waits: {_join(silent)} asked what was ordered" if silent and now - since < self._wait else ""

    def describe(self, said: Iterable[Expectation]) -> str:
        """What the evidence says of worklists that did not answer; "" when none was needed."""
        silent = self._find_silent(said)
        return f"; without an order: {' and '.join(silent)} did not answer in time" if silent else ""

    def move_clock(self, by: float) -> None:
        """The system clock was set by `by` seconds."""
        self._since = {uid: at + by for uid, at in self._since.items()}

    def forget(self, study: Study) -> None:
        """It was closed."""
        self._since.pop(study.study_uid, None)

    def _find_silent(self, said: Iterable[Expectation]) -> list[str]:
        """Worklists that have not answered; none once one of them found the order."""
        numbers = {one.source: one.number for one in said if one.kind == Kind.ORDER and one.number is not None}
        return [] if any(numbers.values()) else sorted(self._peers - set(numbers))


@dataclass(slots=True)
class Ordered:
    """orders: Series Instance UID -> the order that its images answer. notes: why one was refused."""

    orders: dict[str, Order] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def find(self, series_uids: Sequence[str]) -> Order | None:
        """Of those series together: None when they answer different orders."""
        found = {uid: self.orders.get(uid) for uid in series_uids}
        first = found[series_uids[0]] if series_uids else None
        return first if all(order == first for order in found.values()) else None


def add_orders(samples: Mapping[str, Dataset], book: OrderBook) -> Ordered:
    """Lets each header of `samples` (Series Instance UID -> header) say what its order says. An order that is refused
    adds nothing."""
    ordered = Ordered()
    for series_uid, header in samples.items():
        try:
            order = find_order(book, header)
        except OrderRefused as refusal:
            note = f"{OrderRefused.__name__}: {refusal}"
            ordered.notes += [note] if note not in ordered.notes else []
            continue
        if order is not None:
            add_request(header, order)
            ordered.orders[series_uid] = order
    return ordered


def with_order(job: Job, ordered: Ordered, settings: Settings) -> Job:
    """A new job with the priority of its order, where its route fixes none, and with what became of the order."""
    order = ordered.find(job.series_uids)
    fixed = next((route.priority for route in settings.routes if route.name == job.route), None)
    urgency = order.priority if order is not None and fixed is None else None
    return replace(job, priority=urgency or job.priority, notes=(*job.notes, *ordered.notes))


def _join(names: Sequence[str]) -> str:
    return f"{names[0]} is" if len(names) == 1 else f"{' and '.join(names)} are"
