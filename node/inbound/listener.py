"""The listener: a Storage SCP that answers success only when an instance is kept.

Verification, every storage class in every transfer syntax (node.services), storage commitment both ways, notices of
what a PACS has and of what a modality made, and the worklist. pynetdicom negotiates; before that the lobby waits with
whoever connected, and after it each association has a thread.
"""

import _thread
import logging
import resource
import socket
import ssl
import threading
import time
from collections import deque
from contextlib import suppress
from threading import Condition, Lock

from node.config import Settings
from node.errors import AssociationRejected, ConfigError, ProtocolViolation
from node.heap import give_back_large
from node.inbound.association import Association, Door
from node.inbound.availability import Availability
from node.inbound.budget import Budget
from node.inbound.commitments import Commitments, CommitReport
from node.inbound.lobby import Lobby
from node.inbound.negotiate import accept, read_request
from node.inbound.performed_steps import PerformedSteps
from node.inbound.receive import Receiver
from node.inbound.reception import Reception
from node.inbound.recorder import Recorder
from node.inbound.reports import Reports
from node.inbound.spool import Spool
from node.inbound.traffic import Traffic
from node.inbound.wire import BUFFER, SMALL_BUFFER, Gone, Silent, Wire, encode_abort, encode_rejection
from node.inbound.workitems import Workitems
from node.ledger import Ledger
from node.model.workitem import EVENT_CLASS
from node.security.access import Access, Caller
from node.security.tls import find_names, make_server_context
from node.services import (
    INSTANCE_AVAILABILITY_NOTIFICATION,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    STORAGE_COMMITMENT_PUSH_MODEL,
    WORKITEM_CLASSES,
)
from node.worklist import Worklist

log = logging.getLogger(__name__)

BACKLOG = 4096
STACK = 512 * 1024
SPARE_DESCRIPTORS = 256 + 64
"""The spool's folders, and what else is open."""

FEW = 32
"""So many associations get the larger buffer."""

GOODBYE = 5.0
"""Seconds that associations are given to end when the listener stops."""

LINGER = 1.0
"""Seconds for the last words to arrive; none while callers queue."""

MESSAGE_MEMORY = 12 << 20
"""Bytes for messages other than C-STORE, of all associations together."""

SPARE_THREADS = 64
"""Threads beyond the limit of associations, to tell those who come that it is reached."""


Heard = tuple[socket.socket, str, bytes, bytes]
"""A caller who waits for a thread: connection, address, A-ASSOCIATE-RQ, and what came after it."""


class Listener:
    """One listener process's door, from `start` to `stop`. number: among those that share the port. worklist: of this
    node; None when no peer may ask for it."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        ledger: Ledger,
        on_commit: CommitReport,
        number: int = 0,
        worklist: Worklist | None = None,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._ledger = ledger
        limits = settings.listen
        self._recorder = Recorder(ledger, spool)
        self._receiver = Receiver(spool, ledger, self._recorder, limits.inflate_ratio)
        self._access = Access(settings)
        self._traffic = Traffic(limits, _budget(limits.max_associations, limits.max_half_open), spool, ledger)
        self._commitments = Commitments(
            ledger, self._recorder, on_commit, frozenset(p.ae_title for p in settings.peers.values() if p.address)
        )
        self._door = Door(
            name=f"listen-{number}",
            max_pdu=limits.max_pdu,
            max_bytes=limits.max_association_gb * 10**9,
            receiver=self._receiver,
            recorder=self._recorder,
            services=Reception(
                {
                    STORAGE_COMMITMENT_PUSH_MODEL: self._commitments,
                    INSTANCE_AVAILABILITY_NOTIFICATION: Availability(ledger),
                    MODALITY_PERFORMED_PROCEDURE_STEP: PerformedSteps(ledger),
                    **_serve_worklist(worklist, settings),
                }
            ),
            memory=Budget(MESSAGE_MEMORY),
        )
        self._lock = Lock()
        self._all_gone = Condition(self._lock)
        self._open: set[socket.socket] = set()
        self._waiting: deque[Heard] = deque()
        self._lobby: Lobby | None = None

    def start(self) -> int:
        """Listens; returns the port. Associations that an earlier life left open are lost: their studies wait. Files
        that it kept and did not record are recorded."""
        give_back_large()
        threading.stack_size(STACK)
        lost = self._ledger.lose_associations(self._door.name, time.time())
        if lost:
            log.warning("%d associations were open when the listener died", lost)
        self._receiver.reindex()
        shared = self._settings.listen.processes > 1
        doors: dict[socket.socket, ssl.SSLContext | None] = {}
        plain = _bind("node.listen", self._settings.node.listen, shared)
        doors[plain] = None
        if self._settings.listen.tls is not None:
            context = make_server_context(self._settings.listen.tls)
            doors[_bind("listen.tls.address", self._settings.listen.tls.address, shared)] = context
        self._recorder.start()
        self._traffic.start()
        limits = self._settings.listen
        patience = limits.handshake_timeout.total_seconds()
        self._lobby = Lobby(doors, limits.max_half_open, patience, self._welcome, self._recorder.count)
        port = int(plain.getsockname()[1])
        self._lobby.start()
        tls = f", by TLS on {self._settings.listen.tls.address}" if self._settings.listen.tls else ""
        log.info("%s takes images on %s%s", self._settings.node.ae_title, self._settings.node.listen, tls)
        return port

    def stop(self) -> None:
        """Takes nobody in any more and aborts the associations under way: their studies wait for the sender to come
        again. Returns when all rows are written."""
        if self._lobby is None:
            return
        self._lobby.stop()
        self._traffic.stop()
        with self._lock:
            present = set(self._open)
            waiting, self._waiting = self._waiting, deque()
        for connection, *_ in waiting:
            connection.close()
        for connection in present:
            with suppress(OSError, ValueError):
                if not isinstance(connection, ssl.SSLSocket):
                    connection.send(encode_abort(0), socket.MSG_DONTWAIT)
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        with self._all_gone:
            self._all_gone.wait_for(lambda: not self._open, GOODBYE)
        self._recorder.stop()
        self._spool.close()

    def _welcome(self, connection: socket.socket, address: str, request: bytes, rest: bytes) -> None:
        """A caller has said what it wants: a thread of its own hears it, at once or when one is free."""
        crowded_out = None
        with self._lock:
            if len(self._waiting) >= self._settings.listen.max_half_open:
                crowded_out = self._waiting.popleft()[0]
            self._waiting.append((connection, address, request, rest))
        if crowded_out is not None:
            self._recorder.count("crowded out")
            crowded_out.close()
        self._host_next()

    def _host_next(self) -> None:
        with self._lock:
            if not self._waiting or len(self._open) >= self._settings.listen.max_associations + SPARE_THREADS:
                return
            caller = self._waiting.popleft()
            self._open.add(caller[0])
        try:
            # Thread.start() waits until the thread runs: of hundreds who come at once each would wait for all before.
            _thread.start_new_thread(self._host, caller)
        except RuntimeError:  # the system's own limit; whoever ends next looks again who waits
            self._recorder.count("crowded out")
            caller[0].close()
            with self._lock:
                self._open.discard(caller[0])

    def _host(self, connection: socket.socket, address: str, request: bytes, rest: bytes) -> None:
        try:
            room = BUFFER if len(self._open) <= FEW else SMALL_BUFFER
            wire = Wire(connection, rest, self._settings.listen.idle_timeout.total_seconds(), room)
            self._serve(wire, connection, address, request)
        except OSError as error:
            self._recorder.count("closed before its request was answered")
            log.warning("connection from %s could not be served: %s", address, error.strerror)
        finally:
            self._see_off(connection)

    def _see_off(self, connection: socket.socket) -> None:
        connection.close()
        with self._all_gone:
            self._open.discard(connection)
            self._all_gone.notify_all()
        self._host_next()

    def _serve(self, wire: Wire, connection: socket.socket, address: str, request: bytes) -> None:
        try:
            self._negotiate(wire, connection, address, request)
        except AssociationRejected as error:
            self._recorder.count("associations rejected")
            log.warning("association from %s refused: %s", address, error)
            with suppress(Gone, Silent):
                wire.send(encode_rejection(error.result, error.source, error.reason))
        except ProtocolViolation as error:
            self._recorder.count("protocol violation")
            log.warning("association from %s aborted: %s", address, error)
            wire.send_abort(error.reason)
        except (Gone, Silent):
            self._recorder.count("closed before its request was answered")
        except Exception:
            log.exception("an association from %s ended by a fault of ours", address)
            wire.send_abort(0)
        finally:
            with self._lock:
                crowded = len(self._open) > self._settings.listen.max_associations
            wire.close(0.0 if crowded else LINGER)

    def _negotiate(self, wire: Wire, connection: socket.socket, address: str, pdu: bytes) -> None:
        """Weighs the request, and serves the association when it is accepted."""
        request = read_request(pdu)
        secure = isinstance(connection, ssl.SSLSocket)
        names = find_names(connection) if isinstance(connection, ssl.SSLSocket) else frozenset[str]()
        admission = self._access.admit(Caller(request.calling, address, names, secure), request.called)
        if admission.may_store and request.wants_storage:
            self._traffic.check_room()
        reply, contexts = accept(request, admission, self._door.max_pdu)
        self._traffic.enter(request.calling)
        try:
            wire.send(reply)
            lane = self._traffic.find_lane(request.calling)
            association = Association(wire, contexts, request.calling, request.longest, lane, self._door)
            how = "aborted"
            try:
                how = association.run()
            finally:
                self._commitments.forget(association)
                _tell(f"{request.calling!r} at {address}", how, association)
        finally:
            self._traffic.leave(request.calling)


def _tell(caller: str, how: str, association: Association) -> None:
    """A line for each association that brought images: what whoever sent them is told by the log."""
    if brought := association.describe():
        level = logging.INFO if how == "released" and not association.refused else logging.WARNING
        log.log(level, "association from %s %s: %s", caller, how, brought)


def _bind(key: str, address: str, shared: bool) -> socket.socket:
    """A listening socket. shared: other listener processes have theirs on the same port."""
    host, port = address.rsplit(":", 1)
    door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        door.bind((host, int(port)))
        door.listen(BACKLOG)
    except OSError as error:
        door.close()
        raise ConfigError(f"{key} = {address!r}: {error.strerror}") from error
    return door


def _serve_worklist(worklist: Worklist | None, settings: Settings) -> dict[str, Workitems | Reports]:
    """By SOP class."""
    if worklist is None:
        return {}
    service = Workitems(worklist, frozenset(peer.ae_title for peer in settings.peers.values() if peer.workitems))
    managers = {peer.ae_title: name for name, peer in settings.peers.items() if peer.reports}
    return {**dict.fromkeys(WORKITEM_CLASSES, service), EVENT_CLASS: Reports(worklist, managers)}


def _budget(associations: int, half_open: int) -> int:
    """How many associations the process's file descriptors suffice for, after it asked for as many as it may have: a
    socket and a file for each."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * (associations + SPARE_THREADS) + half_open + SPARE_DESCRIPTORS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return associations
    possible = max((soft - half_open - SPARE_DESCRIPTORS) // 2 - SPARE_THREADS, 1)
    log.warning("%d file descriptors suffice for %d associations, not for listen.max_associations", soft, possible)
    return possible
