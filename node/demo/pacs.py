"""A stand-in PACS: a Storage SCP with storage commitment (PS3.4 annexes B and J), for the demo and for tests.

It keeps what it is sent as files, and commits only to what it truly holds. The report goes out on the same association
or, as most archives do it, on a new one to the requestor's address.
"""

import socket
import threading
import time
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import AllTransferSyntaxes
from pynetdicom import AE, AllStoragePresentationContexts, _config, build_context, build_role, evt
from pynetdicom.transport import ThreadedAssociationServer

from node.dicom.uids import (
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
    VERIFICATION,
)
from node.outbound.reactor import hold_reactor

NO_SUCH_INSTANCE = 0x0112
PART = ".part"


class StandInPacs:
    """Listens from `start` to `stop`; `held` maps SOP Instance UID to file.

    report_to: (host, port, AE title) for reports on a new association; None reports on the same one.
    """

    def __init__(self, folder: Path, title: str = "PACS", report_to: tuple[str, int, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.title = title
        self.held: dict[str, Path] = {}
        self.stored = 0
        self._report_to = report_to
        self._lock = threading.Lock()
        self._server: ThreadedAssociationServer | None = None

    def start(self, port: int = 0) -> int:
        """Listens on loopback; returns the port."""
        entity = AE(self.title)
        entity.maximum_associations = 20
        syntaxes = [str(syntax) for syntax in AllTransferSyntaxes]
        entity.supported_contexts = [
            *(build_context(str(c.abstract_syntax), syntaxes) for c in AllStoragePresentationContexts),
            build_context(VERIFICATION),
        ]
        entity.add_supported_context(STORAGE_COMMITMENT_PUSH_MODEL)
        server = entity.start_server(
            ("127.0.0.1", port),
            block=False,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, _answer_at_once),
                (evt.EVT_C_STORE, self._on_store),
                (evt.EVT_N_ACTION, self._on_action),
            ],
        )
        if not isinstance(server, ThreadedAssociationServer) or server.socket is None:
            raise OSError("the stand-in PACS has no socket")
        self._server = server
        return int(server.socket.getsockname()[1])

    def stop(self) -> None:
        """Ends all associations."""
        if self._server is not None:
            self._server.shutdown()

    def _on_store(self, event: evt.Event) -> int:
        request: Any = event.request
        uid = str(request.AffectedSOPInstanceUID)
        with self._lock:
            self.stored += 1
            path = self.held.get(uid) or self.folder / f"{len(self.held) + 1:04d}.dcm"
            part = path.with_suffix(PART)
            part.write_bytes(_read_part10(event))
            part.replace(path)
            self.held[uid] = path
        return 0x0000

    def _on_action(self, event: evt.Event) -> tuple[int, None]:
        """A request to commit: answered at once, reported a moment later."""
        threading.Thread(target=self._report, args=(event.assoc, event.action_information), daemon=True).start()
        return 0x0000, None

    def _report(self, association: Any, request: Dataset) -> None:
        report = self._make_report(request)
        kind = 2 if report.get("FailedSOPSequence") else 1
        uids = (STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE)
        time.sleep(0.05)
        if self._report_to is None:
            with hold_reactor(association):
                association.send_n_event_report(report, kind, *uids)
            return
        host, port, title = self._report_to
        role = build_role(STORAGE_COMMITMENT_PUSH_MODEL, scu_role=False, scp_role=True)
        entity = AE(self.title)
        entity.add_requested_context(STORAGE_COMMITMENT_PUSH_MODEL)
        back = entity.associate(host, port, ae_title=title, ext_neg=[role])
        if back.is_established:
            with hold_reactor(back):
                back.send_n_event_report(report, kind, *uids)
            back.release()

    def _make_report(self, request: Dataset) -> Dataset:
        report = Dataset()
        report.TransactionUID = request.TransactionUID
        kept, failed = [], []
        for wanted in request.ReferencedSOPSequence:
            item = Dataset()
            item.ReferencedSOPClassUID = wanted.ReferencedSOPClassUID
            item.ReferencedSOPInstanceUID = wanted.ReferencedSOPInstanceUID
            if str(wanted.ReferencedSOPInstanceUID) in self.held:
                kept.append(item)
            else:
                item.FailureReason = NO_SUCH_INSTANCE
                failed.append(item)
        if kept:
            report.ReferencedSOPSequence = kept
        if failed:
            report.FailedSOPSequence = failed
        return report


def _read_part10(event: evt.Event) -> bytes:
    """The instance as a Part 10 file; a listener in the same process makes pynetdicom spill it to disk first."""
    if _config.STORE_RECV_CHUNKED_DATASET:
        request: Any = event.request
        request._dataset_file.close()
        return Path(event.dataset_path).read_bytes()
    return event.encoded_dataset()


def _answer_at_once(event: evt.Event) -> None:
    link: Any = event.assoc.dul.socket
    link.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
