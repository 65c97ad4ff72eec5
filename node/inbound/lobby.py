"""Before the association: one thread that waits for all who have connected and not yet said what they want.

Neither an idle connection nor a TLS handshake that never ends holds a thread. A caller whose A-ASSOCIATE-RQ is whole is
handed on; one that takes too long, or says something else, is shown out; of too many the oldest goes first.
"""

import errno
import logging
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread

from node.inbound.wire import A_ASSOCIATE_RQ, HEAD, UNRECOGNIZED_PDU, encode_abort

log = logging.getLogger(__name__)

LONGEST_REQUEST = 1 << 18
"""An A-ASSOCIATE-RQ with 128 contexts of 40 transfer syntaxes each has about 180 kB."""

AT_ONCE = 128
"""Connections taken before the others are looked at again."""

Welcome = Callable[[socket.socket, str, bytes, bytes], None]
"""Told the connection, the caller's address, its A-ASSOCIATE-RQ, and what came after it."""


@dataclass(slots=True)
class Guest:
    """Somebody who has connected. shaken: TLS is agreed, or not wanted."""

    connection: socket.socket
    address: str
    deadline: float
    shaken: bool
    came: bytearray = field(default_factory=bytearray)


class Lobby:
    """The listening sockets and all half-open connections, from `start` to `stop`.

    doors: listening socket -> TLS context, None for a plain door. count: told what was seen, by kind.
    """

    def __init__(
        self,
        doors: dict[socket.socket, ssl.SSLContext | None],
        most: int,
        patience: float,
        welcome: Welcome,
        count: Callable[[str], None],
    ) -> None:
        self._doors = doors
        self._most = most
        self._patience = patience
        self._welcome = welcome
        self._count = count
        self._guests: dict[int, Guest] = {}
        self._selector = selectors.DefaultSelector()
        self._running = True
        self._thread = Thread(target=self._run, name="lobby", daemon=True)

    def start(self) -> None:
        """Opens the doors."""
        for door in self._doors:
            door.setblocking(False)
            self._selector.register(door, selectors.EVENT_READ)
        self._thread.start()

    def stop(self) -> None:
        """Closes the doors and shows everybody out."""
        self._running = False
        self._thread.join(5)

    def _run(self) -> None:
        while self._running:
            for key, _ in self._selector.select(0.2):
                try:
                    self._look(key)
                except Exception:
                    # Whatever one caller does, the next one must find the door open.
                    log.exception("a connection could not be taken")
            self._show_out_late(time.monotonic())
        for guest in list(self._guests.values()):
            self._show_out(guest, "")
        for door in self._doors:
            self._selector.unregister(door)
            door.close()
        self._selector.close()

    def _look(self, key: selectors.SelectorKey) -> None:
        guest: Guest | None = key.data
        if guest is not None:
            if self._guests.get(key.fd) is guest:  # else shown out since the selector woke
                self._listen_to(guest)
        elif isinstance(key.fileobj, socket.socket):
            for _ in range(AT_ONCE):
                if not self._take(key.fileobj):
                    break

    def _take(self, door: socket.socket) -> bool:
        """Takes one connection; False when none waits."""
        try:
            connection, place = door.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return False
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            self._count("out of file descriptors")
            if self._guests:
                self._show_out(next(iter(self._guests.values())), "crowded out")
            else:
                time.sleep(0.05)
            return False
        connection.setblocking(False)
        with suppress(OSError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        secure = self._doors[door]
        if secure is not None:
            try:
                connection = secure.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            except OSError:  # it has gone already
                connection.close()
                return True
        if len(self._guests) >= self._most:
            self._show_out(next(iter(self._guests.values())), "crowded out")
        guest = Guest(connection, str(place[0]), time.monotonic() + self._patience, secure is None)
        self._guests[connection.fileno()] = guest
        self._selector.register(connection, selectors.EVENT_READ, guest)
        return True

    def _listen_to(self, guest: Guest) -> None:
        try:
            if not guest.shaken:
                self._shake(guest)
            while guest.shaken and len(guest.came) < HEAD + LONGEST_REQUEST:
                piece = guest.connection.recv(65536)
                if not piece:
                    self._show_out(guest, "closed before its request" if guest.came else "")
                    return
                guest.came += piece
                if self._judge(guest):
                    return
        except ssl.SSLWantWriteError:
            self._selector.modify(guest.connection, selectors.EVENT_READ | selectors.EVENT_WRITE, guest)
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except ssl.SSLError as error:
            log.warning("TLS handshake with %s failed: %s", guest.address, error.reason)
            self._show_out(guest, "TLS handshake failed")
        except OSError:
            self._show_out(guest, "closed before its request")

    def _shake(self, guest: Guest) -> None:
        if isinstance(guest.connection, ssl.SSLSocket):
            guest.connection.do_handshake()
            self._selector.modify(guest.connection, selectors.EVENT_READ, guest)
        guest.shaken = True

    def _judge(self, guest: Guest) -> bool:
        """Hands a whole request on, shows nonsense out; False while there is more to come."""
        if guest.came[0] != A_ASSOCIATE_RQ:
            self._refuse(guest, f"PDU type {guest.came[0]:#04x} before any association")
            return True
        if len(guest.came) < HEAD:
            return False
        length = int(struct.unpack_from(">BxI", guest.came)[1])
        if length > LONGEST_REQUEST:
            self._refuse(guest, f"an A-ASSOCIATE-RQ of {length} bytes")
            return True
        if len(guest.came) < HEAD + length:
            return False
        self._forget(guest)
        came = bytes(guest.came)
        self._welcome(guest.connection, guest.address, came[: HEAD + length], came[HEAD + length :])
        return True

    def _refuse(self, guest: Guest, why: str) -> None:
        log.warning("connection from %s closed: %s", guest.address, why)
        with suppress(OSError):
            guest.connection.send(encode_abort(UNRECOGNIZED_PDU))
        self._show_out(guest, "protocol violation")

    def _show_out_late(self, now: float) -> None:
        while self._guests:
            oldest = next(iter(self._guests.values()))
            if oldest.deadline > now:
                return
            self._show_out(oldest, "handshake timeout")

    def _show_out(self, guest: Guest, why: str) -> None:
        if why:
            self._count(why)
        self._forget(guest)
        guest.connection.close()

    def _forget(self, guest: Guest) -> None:
        self._selector.unregister(guest.connection)
        del self._guests[guest.connection.fileno()]
