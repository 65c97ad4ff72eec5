"""`Board` by UPS Pull and Watch (PS3.4 annex CC)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom import build_context
from pynetdicom.association import Association

from node.config import Settings
from node.errors import PeerRefused, PeerUnreachable
from node.model.workitem import FILTERED, GLOBAL, PULL_CLASS, PUSH_CLASS, WATCH_CLASS, StepState
from node.outbound.answers import Answer, Verdict
from node.outbound.find import find_all
from node.outbound.performing.board import MOST, RETURNED, Model
from node.outbound.reactor import hold_reactor
from node.outbound.store import associate_peer

CHANGE_STATE, SUBSCRIBE = 1, 3
"""Action Type IDs (PS3.4 Table CC.2-1)."""

NO_SUCH_WORKITEM = {0x0112, 0xC307}


class DimseBoard:
    """association: with presentation contexts of UPS Pull and Watch."""

    def __init__(self, name: str, settings: Settings, association: Association) -> None:
        self._name = name
        self._title = settings.node.ae_title
        self._patience = settings.deliver.answer_wait.total_seconds()
        self._association = association

    def search(self, label: str, station: str) -> list[Model]:
        keys = _make_keys(label, station)
        for keyword in RETURNED:
            if keyword not in keys:
                setattr(keys, keyword, [] if keyword.endswith("Sequence") else None)
        keys.ProcedureStepState, keys.InputReadinessState = str(StepState.SCHEDULED), "READY"
        until = time.monotonic() + self._patience
        found = find_all(self._association, keys, UID(PULL_CLASS), until)
        return [one.to_json_dict() for one, _ in zip(found, range(MOST), strict=False)]

    def find(self, uid: str) -> Model | None:
        status, found = self._send(
            "N-GET", lambda: self._association.send_n_get([], PUSH_CLASS, uid, meta_uid=PULL_CLASS), NO_SUCH_WORKITEM
        )
        return None if status in NO_SUCH_WORKITEM or found is None else found.to_json_dict()

    def update(self, uid: str, changes: Dataset, lock: str) -> None:
        body = Dataset()
        body.update(changes)
        body.TransactionUID = lock
        self._send("N-SET", lambda: self._association.send_n_set(body, PUSH_CLASS, uid, meta_uid=PULL_CLASS))

    def change_state(self, uid: str, state: str, lock: str) -> None:
        body = Dataset()
        body.ProcedureStepState, body.TransactionUID = state, lock
        self._act(CHANGE_STATE, body, uid, PULL_CLASS)

    def subscribe(self, label: str, station: str) -> str:
        keys = _make_keys(label, station)
        if len(keys):
            try:
                self._subscribe(FILTERED, keys)
                return ""
            except PeerRefused:  # it does not filter
                pass
        self._subscribe(GLOBAL, Dataset())
        return ""

    def _subscribe(self, scope: str, keys: Dataset) -> None:
        keys.ReceivingAE, keys.DeletionLock = self._title, "FALSE"
        self._act(SUBSCRIBE, keys, scope, WATCH_CLASS)

    def _act(self, kind: int, body: Dataset, uid: str, meta: str) -> None:
        self._send("N-ACTION", lambda: self._association.send_n_action(body, kind, PUSH_CLASS, uid, meta_uid=meta))

    def _send(self, service: str, send: Callable[[], Any], may_be: set[int] | None = None) -> tuple[int, Any]:
        """(status, data set); may_be: statuses of failures that are the caller's to understand."""
        try:
            with hold_reactor(self._association):
                answer, found = send()
        except ValueError:
            raise PeerRefused(f"{self._name} does not take {service} (UPS Pull or Watch)") from None
        except RuntimeError:
            raise PeerUnreachable(f"{self._name} broke off before {service}") from None
        if "Status" not in answer:
            raise PeerUnreachable(f"{self._name} did not answer {service} in time, or broke off")
        said = Answer(int(answer.Status))
        if said.verdict in {Verdict.TAKEN, Verdict.NOTED} or said.status in (may_be or ()):
            return int(answer.Status), found
        text = f"{self._name} answers {service} of a workitem with {said.code}"
        raise PeerUnreachable(text) if said.verdict == Verdict.LATER else PeerRefused(text)


@contextmanager
def open_dimse(name: str, settings: Settings) -> Iterator[DimseBoard]:
    """On an association of its own. Raises PeerUnreachable."""
    peer, patience = settings.peers[name], settings.deliver.answer_wait.total_seconds()
    contexts = [build_context(PULL_CLASS), build_context(WATCH_CLASS)]
    with associate_peer(settings.node.ae_title, peer, contexts, answer_wait=patience) as association:
        yield DimseBoard(name, settings, association)


def _make_keys(label: str, station: str) -> Dataset:
    keys = Dataset()
    if label:
        keys.WorklistLabel = label
    if station:
        code = Dataset()
        code.CodeValue = station
        keys.ScheduledStationNameCodeSequence = [code]
    return keys
