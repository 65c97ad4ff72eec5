"""The DICOM upper layer by hand (PS3.8 9.3), for tests that say what no well-behaved library would say."""

import socket
import ssl
import struct
import time
from collections.abc import Iterator, Sequence

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
IMPLEMENTATION = b"2.25.204735211843284302871920824"
VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT = "1.2.840.10008.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"

ASSOCIATE_RQ, ASSOCIATE_AC, ASSOCIATE_RJ, P_DATA, RELEASE_RQ, RELEASE_RP, ABORT = range(1, 8)
MAX_LENGTH, PERMANENT, TRANSIENT = 0x51, 1, 2

USUAL = ((CT, (EXPLICIT,)), (VERIFICATION, (IMPLICIT,)))
"""Presentation contexts 1 and 3 of most tests."""
ECHO = ((VERIFICATION, (IMPLICIT,)),)

Contexts = Sequence[tuple[str, Sequence[str]]]


class Rejected(Exception):
    """A-ASSOCIATE-RJ; `answer` is (result, source, reason) of PS3.8 table 9-21."""

    def __init__(self, answer: tuple[int, int, int]) -> None:
        super().__init__(f"rejected: {answer}")
        self.answer = answer


class Closed(Exception):
    """The other side aborted (A-ABORT) or closed the connection."""

    def __init__(self, aborted: bool) -> None:
        super().__init__("aborted" if aborted else "closed without a word")
        self.aborted = aborted


def make_pdu(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBI", kind, 0, len(body)) + body


def make_request(
    contexts: Contexts = USUAL, calling: str = "TEST", called: str = "WETREAD", max_pdu: int = 65536
) -> bytes:
    """A-ASSOCIATE-RQ (PS3.8 9.3.2); the contexts get the ids 1, 3, 5 ..."""
    items = [_item(0x10, APPLICATION_CONTEXT)]
    for index, (abstract, syntaxes) in enumerate(contexts):
        names = b"".join(_item(0x40, syntax.encode()) for syntax in syntaxes)
        items.append(_item(0x20, bytes([2 * index + 1, 0, 0, 0]) + _item(0x30, abstract.encode()) + names))
    items.append(_item(0x50, _item(MAX_LENGTH, struct.pack(">I", max_pdu)) + _item(0x52, IMPLEMENTATION)))
    titles = called.encode().ljust(16) + calling.encode().ljust(16)
    return make_pdu(ASSOCIATE_RQ, b"\0\1\0\0" + titles + b"\0" * 32 + b"".join(items))


def make_pdv(context: int, header: int, data: bytes) -> bytes:
    """One Presentation Data Value item; header: 1 is command, 2 is last fragment (PS3.8 annex E.2)."""
    return struct.pack(">IBB", len(data) + 2, context, header) + data


def make_command(elements: dict[int, bytes], group_length: int | None = None) -> bytes:
    """A command set, Implicit VR Little Endian (PS3.7 6.3.1), with a group length that may lie."""
    data = b"".join(struct.pack("<HHI", 0, e, len(value)) + value for e, value in sorted(elements.items()))
    length = len(data) if group_length is None else group_length
    return struct.pack("<HHII", 0, 0, 4, length) + data


def make_uid(text: str) -> bytes:
    return text.encode() + b"\0" * (len(text) % 2)


def make_store(uid: str, sop_class: str = CT, message_id: int = 1, group_length: int | None = None) -> bytes:
    """The command set of a C-STORE-RQ (PS3.7 table 9.3-1)."""
    numbers = {0x0100: 0x0001, 0x0110: message_id, 0x0700: 0, 0x0800: 1}
    elements = {element: struct.pack("<H", value) for element, value in numbers.items()}
    return make_command(elements | {0x0002: make_uid(sop_class), 0x1000: make_uid(uid)}, group_length)


def make_echo(message_id: int = 1) -> bytes:
    """The command set of a C-ECHO-RQ (PS3.7 table 9.3-12)."""
    numbers = {0x0100: 0x0030, 0x0110: message_id, 0x0800: 0x0101}
    elements = {element: struct.pack("<H", value) for element, value in numbers.items()}
    return make_command(elements | {0x0002: make_uid(VERIFICATION)})


def split(context: int, is_command: bool, data: bytes, max_pdu: int) -> Iterator[bytes]:
    """`data` as P-DATA PDUs of at most `max_pdu` bytes behind their header."""
    room = max_pdu - 6
    for start in range(0, max(len(data), 1), room):
        last = start + room >= len(data)
        yield make_pdu(P_DATA, make_pdv(context, is_command + 2 * last, data[start : start + room]))


def _item(kind: int, data: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(data)) + data


class Wire:
    """One TCP or TLS connection, an association on it after `associate`."""

    def __init__(
        self,
        address: tuple[str, int],
        source: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        timeout: float = 20.0,
    ) -> None:
        self.socket = socket.create_connection(address, timeout, (source, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket)
        self.accepted: dict[int, str] = {}
        self.max_pdu = 16384
        self._message_id = 0

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise
        except OSError:
            raise self._end() from None

    def read_pdu(self) -> tuple[int, bytes]:
        """(type, body) of the next PDU; Closed when there is none, or it is an A-ABORT."""
        kind, _, length = struct.unpack(">BBI", self._read(6))
        body = self._read(length)
        if kind == ABORT:
            raise Closed(aborted=True)
        return kind, body

    def associate(self, contexts: Contexts = USUAL, calling: str = "TEST", called: str = "WETREAD") -> "Wire":
        """Asks for an association. accepted: id -> transfer syntax of the contexts that the other side takes."""
        self.send(make_request(contexts, calling, called))
        kind, body = self.read_pdu()
        if kind == ASSOCIATE_RJ:
            raise Rejected((body[1], body[2], body[3]))
        assert kind == ASSOCIATE_AC, kind
        for item, data in _items(body[68:]):
            if item == 0x21 and data[2] == 0:
                self.accepted[data[0]] = dict(_items(data[4:]))[0x40].decode().rstrip("\0")
            if item == 0x50:
                self.max_pdu = struct.unpack(">I", dict(_items(data))[MAX_LENGTH])[0] or 65536
        return self

    def store(self, uid: str, dataset: bytes, sop_class: str = CT, context: int = 1) -> int:
        """The status of a C-STORE."""
        self._message_id = self._message_id % 65535 + 1
        command = make_store(uid, sop_class, self._message_id)
        pdus = [*split(context, True, command, self.max_pdu), *split(context, False, dataset, self.max_pdu)]
        self.send(b"".join(pdus))
        return self.read_status()

    def echo(self, context: int = 3) -> int:
        """The status of a C-ECHO."""
        self.send(b"".join(split(context, True, make_echo(), self.max_pdu)))
        return self.read_status()

    def read_status(self) -> int:
        """Status (0000,0900) of the next response."""
        kind, body = self.read_pdu()
        assert kind == P_DATA, kind
        data, place = body[6:], 0
        while place + 8 <= len(data):
            _, element, length = struct.unpack_from("<HHI", data, place)
            if element == 0x0900:
                return struct.unpack_from("<H", data, place + 8)[0]
            place += 8 + length
        raise AssertionError("a response without a status")

    def release(self) -> None:
        self.send(make_pdu(RELEASE_RQ, b"\0" * 4))
        kind, _ = self.read_pdu()
        assert kind == RELEASE_RP, kind
        self.socket.close()

    def read_to_end(self, seconds: float) -> list[int]:
        """Types of all PDUs up to the end of the connection; TimeoutError when the other side leaves it open."""
        patience, kinds = time.monotonic() + seconds, []
        try:
            while True:
                self.socket.settimeout(max(patience - time.monotonic(), 0.01))
                kinds.append(self.read_pdu()[0])
        except Closed as end:
            if end.aborted:
                kinds.append(ABORT)
                while self.socket.recv(4096):
                    pass
        except ConnectionError:
            pass
        return kinds

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                piece = self.socket.recv(size - len(data))
            except TimeoutError:
                raise
            except OSError:
                piece = b""
            if not piece:
                raise Closed(aborted=False)
            data += piece
        return bytes(data)

    def _end(self) -> Closed:
        """Why nothing can be sent any more: an A-ABORT may lie unread."""
        self.socket.settimeout(1.0)
        try:
            while True:
                self.read_pdu()
        except Closed as end:
            return end
        except OSError:
            return Closed(aborted=False)


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    place = 0
    while place + 4 <= len(data):
        kind, _, length = struct.unpack_from(">BBH", data, place)
        yield kind, data[place + 4 : place + 4 + length]
        place += 4 + length
