"""What was ordered? A worklist is asked for each study that arrives, by its accession number (PS3.4 annex K).

In:  studies under way, and those whose jobs wait.   Out: their orders in the book, and that the worklist answered in
the ledger, without a name.
It is asked as soon as the first image is here, so that the answer is there when the study is complete; how long that
waits for it, `inbound.ordered` says. While a job waits it is asked again now and then, for its priority may change. A
crash asks again. One thread per peer: one that is silent delays nobody else.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
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
from node.model.job import State
from node.model.order import Order
from node.model.study import Instance, StudyState
from node.orders.book import OrderBook
from node.outbound.find import find_all
from node.outbound.store import associate_peer
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

LOOK = 10.0
"""Seconds between two looks for jobs that wait."""


@dataclass(frozen=True, slots=True)
class Question:
    """asked: how often it was. is_again: its study is complete, and the answer may be another by now."""

    study_uid: str
    asked: int
    number: str
    is_again: bool = False


class Inquirer:
    """Asks one worklist."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger) -> None:
        self._name = name
        self._peer = settings.peers[name]
        self._settings = settings
        self._ledger = ledger
        self._book = OrderBook(settings.order_book)
        self._asked_again: dict[str, float] = {}
        self._looked_again = 0.0

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"asking {self._name} for orders", self.tick, TICK, stop, self._ledger.look)

    def tick(self, now: float) -> None:
        """Asks for all that is due; studies under way go first."""
        questions: list[Question] = []
        for study_uid, asked in list(self._find_due(now))[:AT_ONCE]:
            number = self._read_number(study_uid)
            if number:
                questions.append(Question(study_uid, asked, number))
            elif number is not None:
                self._note(study_uid, asked, 0, "the images have no accession number")
        questions += self._find_again(now)[: AT_ONCE - len(questions)]
        if questions:
            self._ask_all(questions)

    def _ask_all(self, questions: list[Question]) -> None:
        """Those that it did not come to are asked for again, as the one at which the worklist fell silent."""
        peer, ours = self._peer, self._settings.node.ae_title
        contexts = [build_context(MODALITY_WORKLIST_FIND)]
        try:
            with associate_peer(ours, peer, contexts, answer_wait=PATIENCE) as association:
                while questions:
                    self._ask(association, questions[0])
                    questions.pop(0)
        except PeerUnreachable as error:
            for question in questions:
                self._settle(question, None, f"{type(error).__name__}: {error}")

    def _find_due(self, now: float) -> Iterator[tuple[str, int]]:
        """Studies under way that were not asked for or are to be asked for again, and how often they were."""
        said = {
            one.study_uid: one
            for one in self._ledger.find_expectations()
            if one.kind == Kind.ORDER and one.source == self._name
        }
        for study in self._ledger.find_studies(StudyState.RECEIVING):
            last = said.get(study.study_uid)
            if last is None or (not last.number and last.next_at <= now):
                yield study.study_uid, last.attempts if last is not None else 0

    def _find_again(self, now: float) -> list[Question]:
        """Of studies whose jobs have waited for `orders.again` since it was asked; the longest first. When that was is
        in memory: a restart begins anew."""
        pause = self._settings.orders.again.total_seconds()
        if self._looked_again > now - min(pause, LOOK):
            return []
        self._looked_again = now
        made = {job.study_uid: job.created_at for job in self._ledger.find_jobs(states=[State.QUEUED])}
        self._asked_again = {uid: max(at, self._asked_again.get(uid, 0.0)) for uid, at in made.items()}
        due = sorted((at, uid) for uid, at in self._asked_again.items() if at + pause <= now)[:AT_ONCE]
        self._asked_again |= {uid: now for _, uid in due}
        numbers = ((uid, self._read_number(uid)) for _, uid in due)
        return [Question(uid, 0, number, is_again=True) for uid, number in numbers if number]

    def _read_number(self, study_uid: str) -> str | None:
        """The accession number of its images, which one a series is asked for; "" where they have none, None before
        there is an image that can be read."""
        series: dict[str, Instance] = {}
        for one in self._ledger.find_instances(study_uid):
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

    def _ask(self, association: Association, question: Question) -> None:
        association.dimse_timeout = PATIENCE
        number = question.number
        try:
            until = time.monotonic() + PATIENCE
            answers = find_all(association, make_question(number), MODALITY_WORKLIST_FIND, until)
            orders = choose_orders([to_order(answer, time.time()) for answer in answers], number, question.study_uid)
        except PeerRefused as refusal:
            self._settle(question, None, f"{type(refusal).__name__}: {refusal}")
            return
        except OrderRefused as refusal:
            self._settle(question, 0, f"{type(refusal).__name__}: {refusal}")
            return
        for order in orders:
            self._book.keep_news(order) if question.is_again else self._book.keep(order)
        self._settle(question, len(orders), "" if orders else "it knows no order of this accession number")

    def _settle(self, question: Question, number: int | None, answer: str) -> None:
        """What is asked again keeps nobody waiting: of its answer nothing is noted."""
        if not question.is_again:
            self._note(question.study_uid, question.asked, number, answer)

    def _note(self, study_uid: str, asked: int, number: int | None, answer: str) -> None:
        if answer:
            log.warning("%s tells no order of study %s: %s", self._name, study_uid, answer)
        now = time.time()
        again = now + min(AGAIN * float(2 ** min(asked, 30)), LONGEST)
        self._ledger.put_expectation(
            Expectation(
                study_uid=study_uid,
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
