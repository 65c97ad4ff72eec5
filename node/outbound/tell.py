"""What becomes of workitems is told to one peer that subscribed, by N-EVENT-REPORT on an association of ours (PS3.4
CC.2.4).

In:  notices of the worklist.   Out: none left.
A crash after the peer's answer tells it again. In order: what comes later waits until the peer has answered what came
before. One thread per peer, which shares the peer's circuit with who delivers to it.
"""

import logging
from threading import Event

from pydicom import Dataset
from pynetdicom import build_context, build_role
from pynetdicom.association import Association

from node.config import Settings
from node.errors import PeerUnreachable
from node.ledger import Ledger
from node.model.workitem import EVENT_CLASS, PUSH_CLASS, Notice
from node.outbound.answers import Answer
from node.outbound.breaker import Breaker
from node.outbound.reactor import hold_reactor
from node.outbound.store import associate_peer
from node.rounds import keep_going
from node.worklist import Worklist

log = logging.getLogger(__name__)

TICK = 0.2
LATER = {0x0110, 0x0213}
"""Processing failure and resource limitation (PS3.7 annex C): the same may be taken another time."""


class EventTeller:
    """Serves one peer."""

    def __init__(self, name: str, settings: Settings, ledger: Ledger, worklist: Worklist) -> None:
        self._name = name
        self._peer = settings.peers[name]
        self._settings = settings
        self._worklist = worklist
        self._breaker = Breaker(name, settings.deliver, ledger)

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        keep_going(f"telling {self._name} of workitems", self.tick, TICK, stop, self._worklist.look)

    def tick(self, now: float) -> None:
        """Tells what waits."""
        waiting = self._worklist.find_notices(self._peer.ae_title)
        if not waiting or not self._breaker.is_due(now) or not self._breaker.claim(now):
            return
        role = build_role(EVENT_CLASS, scu_role=False, scp_role=True)
        ours = self._settings.node.ae_title
        patience = self._settings.deliver.answer_wait.total_seconds()
        contexts = [build_context(EVENT_CLASS)]
        try:
            with associate_peer(ours, self._peer, contexts, roles=[role], answer_wait=patience) as association:
                self._tell_all(association, waiting)
            self._breaker.succeed("reached")
        except PeerUnreachable as error:
            self._breaker.fail(str(error))
            log.warning("%d events of workitems wait: %s", len(waiting), error)
        except ValueError as error:
            text = f"{self._name} does not take events of workitems ({error})"
            self._breaker.fail(text)
            log.warning("%s", text)

    def _tell_all(self, association: Association, waiting: list[Notice]) -> None:
        """Raises PeerUnreachable when one is not answered."""
        while waiting:
            for notice in waiting:
                self._tell(association, notice)
                self._worklist.settle_notices(self._peer.ae_title, [notice.number])
            waiting = self._worklist.find_notices(self._peer.ae_title)

    def _tell(self, association: Association, notice: Notice) -> None:
        information = Dataset.from_json(notice.model)
        try:
            with hold_reactor(association):
                answer, _ = association.send_n_event_report(
                    information, int(notice.report), PUSH_CLASS, notice.uid, meta_uid=EVENT_CLASS
                )
        except RuntimeError as error:
            raise PeerUnreachable(f"{self._name} ended the association") from error
        status = int(answer.Status) if "Status" in answer else None
        if status is None or status in LATER:
            raise PeerUnreachable(f"{self._name} answers {Answer(status)} to an event of workitem {notice.uid}")
        if status:
            log.warning("%s answers %s to an event of workitem %s", self._name, Answer(status), notice.uid)
