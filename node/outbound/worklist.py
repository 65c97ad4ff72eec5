"""What was ordered? A worklist is asked for each study that arrives, by its accession number (PS3.4 annex K).

In:  studies under way.   Out: their orders in the book, and that the worklist answered in the ledger, without a name.
It is asked as soon as the first image is here, so that the answer is there when the study is complete; how long that
waits for it, `inbound.ordered` says. A crash asks again. One thread per peer: one that is silent delays nobody else.
"""

import logging
import time
from collections.abc import Iterator
from threading import Event

from pydicom import Dataset
from pynetdicom import build_context
from pynetdicom.association import Association

from node.config import Settings
from node.dicom.header import find_value, read_header
from node.dicom.uids import MODALITY_WORKLIST_FIND
from node.dicom.worklist import make_question, to_order
from node.errors import CannotUnderstand, OrderRefused, PeerRefused, PeerUnreachable
from node.ledger import Ledger
from node.model.expectation import Expectation, Kind
from node.model.order import Order
from node.model.study import Instance, Study, StudyState
from node.orders.book import OrderBook
from node.outbound.find import find_all
from node.outbound.store import associate
from node.rounds import keep_going

log = logging.getLogger(__name__)

TICK = 0.2
AT_ONCE = 50
"""Studies asked for in one round."""

PATIENCE = 10.0
"""Seconds for one answer, and for all answers to one question."""

AGAIN, LONGEST = 1.0, 60.0
"""Seconds until a worklist that did not answer, or knew nothing, is asked again while the study is under way: they
double from the first to the longest."""


class Inquirer:
    """Asks one worklist."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger) -> None:
        self._name = name
        self._peer = settings.peers[name]
        self._settings = settings
        self._ledger = ledger
        self._book = OrderBook(settings.order_book)

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"asking {self._name} for orders", self.tick, TICK, stop, self._ledger.look)

    def tick(self, now: float) -> None:
        """Asks for all that is due."""
        questions: list[tuple[Study, int, str]] = []
        for study, asked in list(self._find_due(now))[:AT_ONCE]:
            number = self._read_number(study)
            if number:
                questions.append((study, asked, number))
            elif number is not None:
                self._note(study, asked, 0, "the images have no accession number")
        if questions:
            self._ask_all(questions)

    def _ask_all(self, questions: list[tuple[Study, int, str]]) -> None:
        """Those that it did not come to are asked for again, as the one at which the worklist fell silent."""
        peer, ours = self._peer, self._settings.node.ae_title
        contexts = [build_context(MODALITY_WORKLIST_FIND)]
        try:
            with associate(ours, (peer.host, peer.port), peer.ae_title, contexts, answer_wait=PATIENCE) as association:
                while questions:
                    self._ask(association, *questions[0])
                    questions.pop(0)
        except PeerUnreachable as error:
            for study, asked, _ in questions:
                self._note(study, asked, None, f"{type(error).__name__}: {error}")

    def _find_due(self, now: float) -> Iterator[tuple[Study, int]]:
        """Studies under way that were not asked for or are to be asked for again, and how often they were."""
        said = {
            one.study_uid: one
            for one in self._ledger.find_expectations()
            if one.kind == Kind.ORDER and one.source == self._name
        }
        for study in self._ledger.find_studies(StudyState.RECEIVING):
            last = said.get(study.study_uid)
            if last is None or (not last.number and last.next_at <= now):
                yield study, last.attempts if last is not None else 0

    def _read_number(self, study: Study) -> str | None:
        """The accession number of its images, which one a series is asked for; "" where they have none, None before
        there is an image that can be read."""
        series: dict[str, Instance] = {}
        for one in self._ledger.find_instances(study.study_uid):
            if one.is_image:
                series.setdefault(one.series_uid, one)
        found: str | None = None
        for one in series.values():
            try:
                header = read_header(self._settings.spool / one.path)
            except (CannotUnderstand, FileNotFoundError):
                continue
            if found := _find_number(header):
                return found
        return found

    def _ask(self, association: Association, study: Study, asked: int, number: str) -> None:
        association.dimse_timeout = PATIENCE
        try:
            until = time.monotonic() + PATIENCE
            answers = find_all(association, make_question(number), MODALITY_WORKLIST_FIND, until)
            orders = choose_orders([to_order(answer, time.time()) for answer in answers], number, study.study_uid)
        except PeerRefused as refusal:
            self._note(study, asked, None, f"{type(refusal).__name__}: {refusal}")
            return
        except OrderRefused as refusal:
            self._note(study, asked, 0, f"{type(refusal).__name__}: {refusal}")
            return
        for order in orders:
            self._book.keep(order)
        self._note(study, asked, len(orders), "" if orders else "it knows no order of this accession number")

    def _note(self, study: Study, asked: int, number: int | None, answer: str) -> None:
        if answer:
            log.warning("%s tells no order of study %s: %s", self._name, study.study_uid, answer)
        now = time.time()
        again = now + min(AGAIN * float(2 ** min(asked, 30)), LONGEST)
        self._ledger.put_expectation(
            Expectation(
                study_uid=study.study_uid,
                kind=Kind.ORDER,
                source=self._name,
                at=now,
                number=number,
                answer=answer,
                next_at=again,
                attempts=asked + 1,
            )
        )


def choose_orders(answers: list[Order | None], accession_number: str, study_uid: str) -> list[Order]:
    """Of what a worklist answered, which may be more than was asked for, what is of this accession number, a procedure
    of a patient once. Raises OrderRefused where several procedures are and none of them names the study, or several
    patients."""
    fitting = {
        (order.patient_id, order.requested_procedure_id): order
        for order in answers
        if order is not None and order.accession_number == accession_number
    }
    named = [order for order in fitting.values() if order.study_uid == study_uid]
    chosen = named or list(fitting.values())
    if len({order.patient_id for order in chosen}) > 1:
        raise OrderRefused("orders of several patients are of its accession number")
    if named or len(chosen) < 2:
        return chosen
    raise OrderRefused(f"{len(fitting)} procedures are of its accession number, and none names the study")


def _find_number(header: Dataset) -> str:
    value = find_value(header, "AccessionNumber")
    return "" if value is None else str(value).strip()
