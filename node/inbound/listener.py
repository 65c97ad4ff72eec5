"""The listener: a Storage SCP that answers success only when an instance is kept.

Verification, every storage class of the standard in every transfer syntax that pydicom knows, and the reports of
storage commitment that a PACS sends us on an association of its own (PS3.4 annexes A, B and J).
"""

import logging
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from pydicom import Dataset
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, _config, build_context, evt
from pynetdicom.presentation import PresentationContext
from pynetdicom.transport import ThreadedAssociationServer

from node.config import Callers, Settings
from node.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, VERIFICATION
from node.errors import ConfigError, OutOfResources, RefusedInstance
from node.inbound.quickack import acknowledge_quickly
from node.inbound.receive import Receiver
from node.ledger import Ledger

log = logging.getLogger(__name__)

CommitReport = Callable[[Dataset], bool]
"""Told the Event Information of an N-EVENT-REPORT; False when the transaction is not ours."""


@dataclass(slots=True)
class Line:
    """An association that stored at least one image. last: when, on the monotonic clock."""

    id: str
    last: float


NOT_AUTHORIZED = 0x0124  # PS3.7 annex C.5.22


class Listener:
    """One listening socket, from construction of its AE to `stop`."""

    def __init__(self, settings: Settings, receiver: Receiver, ledger: Ledger, on_commit: CommitReport) -> None:
        self._settings = settings
        self._receiver = receiver
        self._ledger = ledger
        self._on_commit = on_commit
        self._name = "listen-0"
        self._lines: dict[int, Line] = {}
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> int:
        """Listens; returns the port. Associations that an earlier life left open are lost: their studies wait."""
        lost = self._ledger.lose_associations(self._name, time.time())
        if lost:
            log.warning("%d associations were open when the listener died", lost)
        # pynetdicom spills datasets to tempfile.tempdir; on the spool's file system the final rename is atomic.
        tempfile.tempdir = str(self._settings.spool / "incoming")
        _config.STORE_RECV_CHUNKED_DATASET = True
        host, port = self._settings.node.listen.rsplit(":", 1)
        try:
            server = self._make_entity().start_server((host, int(port)), block=False, evt_handlers=self._handlers())
        except OSError as error:
            raise ConfigError(f"node.listen = {self._settings.node.listen!r}: {error.strerror}") from error
        if not isinstance(server, ThreadedAssociationServer):
            raise TypeError(f"unexpected server {server!r}")
        self._server = server
        if server.socket is None:
            raise OSError(f"no socket on {self._settings.node.listen}")
        server.socket.listen(1024)
        return int(server.socket.getsockname()[1])

    def stop(self) -> None:
        """Refuses new associations and aborts those under way: their studies wait for the sender to come again."""
        if self._server is not None:
            self._server.shutdown()

    def _make_entity(self) -> AE:
        entity = AE(self._settings.node.ae_title)
        entity.maximum_associations = self._settings.listen.max_associations
        entity.maximum_pdu_size = 131072
        idle = self._settings.listen.idle_timeout.total_seconds()
        entity.network_timeout = entity.dimse_timeout = idle
        entity.acse_timeout = min(idle, 30)
        entity.require_called_aet = True
        entity.supported_contexts = [*_storage_contexts(), build_context(VERIFICATION)]
        entity.add_supported_context(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=True, scp_role=True)
        return entity

    def _handlers(self) -> list[evt.EventHandlerType]:
        return [
            (evt.EVT_CONN_OPEN, acknowledge_quickly),
            (evt.EVT_REQUESTED, self._on_requested),
            (evt.EVT_C_STORE, self._on_store),
            (evt.EVT_RELEASED, self._on_released),
            (evt.EVT_ABORTED, self._on_aborted),
            (evt.EVT_CONN_CLOSE, self._on_aborted),
            (evt.EVT_N_EVENT_REPORT, self._on_event_report),
        ]

    def _on_requested(self, event: evt.Event) -> None:
        """Refuses callers that are no peer, unless listen.unknown_callers lets them in."""
        request: Any = event.assoc.requestor.primitive  # pynetdicom sets requestor.ae_title only after this event
        caller, address = str(request.calling_ae_title).strip(), str(event.assoc.requestor.address)
        if self._may_associate(caller, address):
            return
        log.warning("association refused: calling AE %r at %s is no peer", caller, address)
        event.assoc.acse.send_reject(0x01, 0x01, 0x03)  # permanent, service user, calling AE title not recognized
        event.assoc.kill()

    def _may_associate(self, caller: str, address: str) -> bool:
        """Peers, whoever may send, and our own title (`wetread doctor` asks us by C-ECHO from another container)."""
        known = {self._settings.node.ae_title, *(peer.ae_title for peer in self._settings.peers.values())}
        return caller in known or self._may_store(caller, address)

    def _may_store(self, caller: str, address: str) -> bool:
        for peer in self._settings.peers.values():
            if peer.ae_title == caller:
                return peer.send
        unknown = self._settings.listen.unknown_callers
        return unknown == Callers.ANY or (unknown == Callers.LOOPBACK and address in {"127.0.0.1", "::1"})

    def _on_store(self, event: evt.Event) -> Dataset:
        """0x0000 only for bytes that are synced under their final name and known to the ledger."""
        caller, address = str(event.assoc.requestor.ae_title).strip(), str(event.assoc.requestor.address)
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        if not self._may_store(caller, address):
            return _answer(NOT_AUTHORIZED, "this peer may not send (send = false)")
        try:
            line = self._find_line(event, caller)
            request._dataset_file.close()
            self._receiver.admit(event.dataset_path, caller, line.id, uid)
        except RefusedInstance as refusal:
            return _answer(refusal.status, str(refusal))
        except Exception:
            # An error nobody foresaw must still be an answer: a silent door makes a PACS hang.
            log.exception("instance %s could not be kept", uid)
            return _answer(OutOfResources.status, "internal error, see the log of the node")
        return _answer(0x0000)

    def _find_line(self, event: evt.Event, caller: str) -> Line:
        line = self._lines.get(id(event.assoc))
        if line is None:
            line = self._lines[id(event.assoc)] = Line(str(uuid4()), time.monotonic())
            self._ledger.open_association(line.id, self._name, caller, time.time())
        line.last = time.monotonic()
        return line

    def _on_released(self, event: evt.Event) -> None:
        self._end(event, "released")

    def _on_aborted(self, event: evt.Event) -> None:
        """An abort long after the last image is a line that was left idle; any other breaks off a transfer."""
        line = self._lines.get(id(event.assoc))
        if line is not None:
            idle = self._settings.listen.idle_timeout.total_seconds()
            self._end(event, "idle" if time.monotonic() - line.last >= idle - 1 else "aborted")

    def _end(self, event: evt.Event, how: str) -> None:
        line = self._lines.pop(id(event.assoc), None)
        if line is not None:
            self._ledger.end_association(line.id, how, time.time())

    def _on_event_report(self, event: evt.Event) -> tuple[int, None]:
        """A report of storage commitment on an association that the PACS opened (PS3.4 J.3.3)."""
        known = self._on_commit(event.event_information)
        if not known:
            log.warning("storage commitment report from %s for no transaction of ours", event.assoc.requestor.ae_title)
        return 0x0000, None


def _answer(status: int, comment: str = "") -> Dataset:
    """A C-STORE status; Error Comment is LO, at most 64 characters (PS3.7 annex C)."""
    answer = Dataset()
    answer.Status = status
    if comment:
        answer.ErrorComment = comment[:64]
    return answer


def _storage_contexts() -> list[PresentationContext]:
    """Every storage class, every transfer syntax that pydicom knows."""
    syntaxes = [str(syntax) for syntax in AllTransferSyntaxes]
    return [build_context(str(context.abstract_syntax), syntaxes) for context in AllStoragePresentationContexts]
