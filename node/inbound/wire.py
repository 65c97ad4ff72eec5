"""One connection under an association: protocol data units in and out (PS3.8 9.3), no copy of what they carry."""

import ctypes
import mmap
import select
import socket
import ssl
import struct
import time
from contextlib import suppress
from typing import Protocol

from node.errors import ProtocolViolation

A_ASSOCIATE_RQ, A_ASSOCIATE_RJ = 0x01, 0x03
P_DATA_TF, A_RELEASE_RQ, A_RELEASE_RP, A_ABORT = 0x04, 0x05, 0x06, 0x07

COMMAND, LAST = 0x01, 0x02
"""Message control header of a presentation data value (PS3.8 annex E.2)."""

UNRECOGNIZED_PDU, UNEXPECTED_PDU = 1, 2
"""Reasons of an abort by the provider (PS3.8 table 9-26)."""

HEAD = 6
"""Bytes of a PDU's type and length, and of a value item's length, context and control header."""

BUFFER = 1 << 20
"""Room for a whole CT image: read in few pieces, written in one."""

SMALL_BUFFER = 1 << 18
"""Where there are many associations."""

_SETSOCKOPT = ctypes.PyDLL(None).setsockopt
"""Called with the interpreter's lock held: to give it up and queue for it again, as the socket's own method does, costs
many times what this call takes."""

_ON = ctypes.c_int(1)
_TIMED_OUT = (BlockingIOError, TimeoutError)
LAST_READS = 64
"""So often is read, at most, what comes after our last word."""

QUICKACK = getattr(socket, "TCP_QUICKACK", None)
_PDU = struct.Struct(">BxI")
_ITEM = struct.Struct(">IBB")
_RELEASE_RP = struct.pack(">BBII", A_RELEASE_RP, 0, 4, 0)


class Gone(Exception):
    """The other side closed the connection, or it broke."""


class Silent(Exception):
    """Nothing came, or nothing could be sent, for as long as the connection waits."""


class Holder(Protocol):
    """Somebody who holds pieces of the buffer. size: bytes that went through its hands."""

    @property
    def size(self) -> int: ...

    def flush(self) -> None:
        """Lets go of them: the buffer is about to change."""
        ...


class Wire:
    """A connected socket with one buffer. `view[start:end]` is what has come and was not taken yet.

    holder: whoever keeps pieces of `view`; told before any of it changes.

    Every read is acknowledged at once (TCP_QUICKACK, which Linux disarms by itself): a sender with Nagle's algorithm
    on, the usual `storescu`, then does not wait for delayed acknowledgements.
    """

    __slots__ = ("_number", "_quick", "_reach", "_socket", "end", "holder", "start", "view")

    def __init__(self, connection: socket.socket, came: bytes, patience: float, room: int = BUFFER) -> None:
        self._socket = connection
        self.holder: Holder | None = None
        self._number = connection.fileno()
        self._quick = QUICKACK is not None and connection.family in (socket.AF_INET, socket.AF_INET6)
        # Pages of its own: untouched they cost nothing, and at the end they go back to the system.
        self.view = memoryview(mmap.mmap(-1, max(room, len(came))))
        self.view[: len(came)] = came
        self.start, self.end = 0, len(came)
        self._reach = len(self.view)
        if isinstance(connection, ssl.SSLSocket):
            connection.settimeout(patience)
            return
        # The kernel's own timeouts cost nothing; Python's would ask poll() before every read.
        connection.settimeout(None)
        wait = struct.pack("ll", int(patience), int(patience % 1 * 1e6))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)

    def fill(self, count: int) -> None:
        """Waits until `count` bytes lie together from `start` on; moves what was there. Raises Gone or Silent."""
        if self.holder is not None:
            self.holder.flush()
        if self.start == self.end:
            self.start = self.end = 0
            # What is long goes through the processor's cache in small pieces, what is short is taken whole.
            is_long = self.holder is not None and self.holder.size > BUFFER
            self._reach = SMALL_BUFFER if is_long else len(self.view)
        elif self.start + count > self._reach:
            rest = bytes(self.view[self.start : self.end])
            self.view[: len(rest)] = rest
            self.start, self.end = 0, len(rest)
        while self.end - self.start < count:
            self.end += self._receive()

    def _receive(self) -> int:
        try:
            count = self._socket.recv_into(self.view[self.end : self._reach])
            if self._quick:
                _SETSOCKOPT(self._number, socket.IPPROTO_TCP, QUICKACK, ctypes.byref(_ON), ctypes.sizeof(_ON))
        except _TIMED_OUT as error:
            raise Silent from error
        except (OSError, ValueError) as error:
            raise Gone from error
        if not count:
            raise Gone
        return count

    def has_more(self) -> bool:
        """Whether something came that was not read yet."""
        if self.end > self.start:
            return True
        if isinstance(self._socket, ssl.SSLSocket) and self._socket.pending():
            return True
        try:
            poll = select.poll()
            poll.register(self._number, select.POLLIN)
            return bool(poll.poll(0))
        except (OSError, ValueError) as error:
            raise Gone from error

    def read_head(self) -> tuple[int, int]:
        """Type and length of the next PDU."""
        if self.end - self.start < HEAD:
            self.fill(HEAD)
        kind, length = _PDU.unpack_from(self.view, self.start)
        self.start += HEAD
        return kind, length

    def read_item(self, left: int) -> tuple[int, int, int]:
        """Length of its value, presentation context and control header of the next item (PS3.8 9.3.5.1) in a P-DATA-TF
        with `left` bytes left. Raises ProtocolViolation when it does not fit."""
        if self.end - self.start < HEAD:
            self.fill(HEAD)
        length, context, flags = _ITEM.unpack_from(self.view, self.start)
        if not 2 <= length <= left - 4:
            raise ProtocolViolation(f"a presentation data value of {length} bytes in a PDU with {left} bytes left")
        self.start += HEAD
        return length - 2, context, flags

    def take(self, count: int, pieces: list[memoryview]) -> None:
        """Adds the next `count` bytes to `pieces`, as views that hold until `holder` is told."""
        while count:
            start = self.start
            ready = self.end - start
            if not ready:
                self.fill(1)
                continue
            ready = min(ready, count)
            pieces.append(self.view[start : start + ready])
            self.start = start + ready
            count -= ready

    def read(self, count: int) -> bytes:
        """The next `count` bytes, at most SMALL_BUFFER."""
        if self.end - self.start < count:
            self.fill(count)
        data = bytes(self.view[self.start : self.start + count])
        self.start += count
        return data

    def send(self, data: bytes) -> None:
        """Sends all of `data`. Raises Gone or Silent."""
        try:
            self._socket.sendall(data)
        except _TIMED_OUT as error:
            raise Silent from error
        except (OSError, ValueError) as error:
            raise Gone from error

    def send_message(self, context: int, command: bytes, data_set: bytes, longest: int) -> None:
        """A DIMSE message in PDUs of at most `longest` bytes each, 0 for any (PS3.8 D.1)."""
        self.send(b"".join([*_fragment(context, COMMAND, command, longest), *_fragment(context, 0, data_set, longest)]))

    def send_release(self) -> None:
        """A-RELEASE-RP (PS3.8 9.3.7)."""
        self.send(_RELEASE_RP)

    def send_abort(self, reason: int) -> None:
        """A-ABORT by the service provider, as far as the other side still listens."""
        with suppress(Gone, Silent):
            self.send(encode_abort(reason))

    def close(self, linger: float) -> None:
        """Lets the last words arrive: the other side is given `linger` seconds to close first (the ARTIM timer)."""
        with suppress(OSError, ValueError):
            self._socket.shutdown(socket.SHUT_WR)
            until = time.monotonic() + linger
            for _ in range(LAST_READS):
                self._socket.settimeout(max(until - time.monotonic(), 0.001))
                if not self._socket.recv_into(self.view):
                    break
        self._socket.close()


def encode_abort(reason: int) -> bytes:
    """A-ABORT by the service provider (PS3.8 9.3.8)."""
    return struct.pack(">BBIBBBB", A_ABORT, 0, 4, 0, 0, 2, reason)


def encode_rejection(result: int, source: int, reason: int) -> bytes:
    """A-ASSOCIATE-RJ (PS3.8 9.3.4)."""
    return struct.pack(">BBIBBBB", A_ASSOCIATE_RJ, 0, 4, 0, result, source, reason)


def _fragment(context: int, kind: int, data: bytes, longest: int) -> list[bytes]:
    size = max(longest - HEAD, 1) if longest else max(len(data), 1)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    last = len(pieces) - 1
    return [
        struct.pack(">BBIIBB", P_DATA_TF, 0, len(piece) + 6, len(piece) + 2, context, kind | (LAST if n == last else 0))
        + piece
        for n, piece in enumerate(pieces)
    ]
