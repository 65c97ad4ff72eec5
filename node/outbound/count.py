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
from node.model.expectation import Count, Expectation, Kind, Question
from node.outbound.count_find import count_by_find
from node.outbound.count_qido import PATIENCE, count_by_qido
from node.outbound.store import associate_peer
from node.rounds import keep_going
from node.sections import CountBy
from node.security.web_client import make_web_client

log = logging.getLogger(__name__)

TICK = 0.1
AT_ONCE = 50
"""Studies asked of in one round."""

AGAIN, LONGEST = 1.0, 60.0
"""Seconds until a peer is asked again, doubling from the first to the longest."""

Ask = Callable[[Question], Count]
"""Raises DeliveryError."""


class Counter:
    """Asks one peer."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger) -> None:
        self._name = name
        self._peer = settings.peers[name]
        self._modalities = frozenset(self._peer.count_modalities)
        self._settings = settings
        self._ledger = ledger

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"counting at {self._name}", self.tick, TICK, stop, self._ledger.look)

    def tick(self, now: float) -> None:
        """Asks what is due."""
        silent = self._settings.completeness.quiet.total_seconds()
        due = self._ledger.find_questions(self._peer.ae_title, self._name, now, silent, AT_ONCE)
        if not due:
            return
        try:
            (self._ask_web if self._peer.count_by == CountBy.QIDO else self._ask_archive)(due)
        except PeerUnreachable as error:
            for question in due:
                self._note(question, None, f"{type(error).__name__}: {error}")

    def _ask_archive(self, due: list[Question]) -> None:
        contexts = [build_context(STUDY_ROOT_FIND)]
        with associate_peer(self._settings.node.ae_title, self._peer, contexts) as association:
            self._ask_all(due, lambda question: count_by_find(association, question, self._modalities))

    def _ask_web(self, due: list[Question]) -> None:
        with make_web_client(self._peer.web, PATIENCE) as client:
            self._ask_all(due, lambda question: count_by_qido(client, self._peer.dicomweb, question, self._modalities))

    def _ask_all(self, due: list[Question], ask: Ask) -> None:
        for question in due:
            try:
                count = ask(question)
            except DeliveryError as error:
                self._note(question, None, f"{type(error).__name__}: {error}")
                if not isinstance(error, PeerRefused):
                    return
            else:
                self._note(question, count, "")

    def _note(self, question: Question, count: Count | None, answer: str) -> None:
        now = time.time()
        again = now + min(AGAIN * float(2 ** min(question.asked, 30)), LONGEST)
        if answer:
            log.warning("%s does not count study %s: %s", self._name, question.study_uid, answer)
        number, series = (count.number, count.series) if count is not None else (None, ())
        self._ledger.put_expectation(
            Expectation(
                study_uid=question.study_uid,
                kind=Kind.COUNT,
                source=self._name,
                at=now,
                number=number,
                answer=answer,
                mark=question.mark,
                next_at=again,
                attempts=question.asked + 1,
                series=series,
            )
        )
