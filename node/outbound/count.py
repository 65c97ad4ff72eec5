"""How many instances of a study does a peer have? It is asked after it sent, and again while it has more than we.

In:  studies under way whose associations by the peer have ended.   Out: its count, as an expectation in the ledger.
A crash asks again. One thread per peer: one that is slow, or away, delays nobody else's studies.
"""

import logging
import time
from collections.abc import Callable
from threading import Event

from pynetdicom import build_context

from node.config import Settings
from node.dicom.uids import STUDY_ROOT_FIND
from node.errors import DeliveryError, PeerRefused, PeerUnreachable
from node.ledger import Ledger
from node.model.expectation import Expectation, Kind, Question
from node.outbound.count_find import count_by_find
from node.outbound.count_qido import count_by_qido
from node.outbound.store import associate
from node.rounds import keep_going
from node.sections import CountBy

log = logging.getLogger(__name__)

TICK = 0.1
AT_ONCE = 50
"""Studies asked of in one round."""

AGAIN, LONGEST = 1.0, 60.0
"""Seconds until a peer is asked again, doubling from the first to the longest."""

Ask = Callable[[str, frozenset[str]], int]
"""(Study Instance UID, SOP Instance UIDs of our results) -> instances beside them. Raises DeliveryError."""


class Counter:
    """Asks one peer."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger) -> None:
        self._name = name
        self._peer = settings.peers[name]
        self._settings = settings
        self._ledger = ledger

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"counting at {self._name}", self.tick, TICK, stop)

    def tick(self, now: float) -> None:
        """Asks what is due."""
        silent = self._settings.completeness.quiet.total_seconds()
        due = self._ledger.find_questions(self._peer.ae_title, self._name, now, silent, AT_ONCE)
        if not due:
            return
        if self._peer.count_by == CountBy.QIDO:
            self._ask_all(due, lambda study_uid, ours: count_by_qido(self._peer.dicomweb, study_uid, ours))
            return
        address = (self._peer.host, self._peer.port)
        try:
            with associate(
                self._settings.node.ae_title, address, self._peer.ae_title, [build_context(STUDY_ROOT_FIND)]
            ) as association:
                self._ask_all(due, lambda study_uid, ours: count_by_find(association, study_uid, ours))
        except PeerUnreachable as error:
            for question in due:
                self._note(question, None, f"{type(error).__name__}: {error}")

    def _ask_all(self, due: list[Question], ask: Ask) -> None:
        for question in due:
            try:
                number = ask(question.study_uid, question.ours)
            except DeliveryError as error:
                self._note(question, None, f"{type(error).__name__}: {error}")
                if not isinstance(error, PeerRefused):
                    return
            else:
                self._note(question, number, "")

    def _note(self, question: Question, number: int | None, answer: str) -> None:
        now = time.time()
        again = now + min(AGAIN * float(2 ** min(question.asked, 30)), LONGEST)
        if answer:
            log.warning("%s does not count study %s: %s", self._name, question.study_uid, answer)
        self._ledger.put_expectation(
            Expectation(
                question.study_uid,
                Kind.COUNT,
                self._name,
                now,
                number,
                answer,
                question.mark,
                again,
                question.asked + 1,
            )
        )
