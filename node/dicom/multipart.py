"""multipart/related read as it comes: boundaries found, nothing gathered but a part's few header lines.

RFC 2046 5.1 and RFC 2387, as PS3.18 8.6.1.2 uses them. A body of any size is read in the memory of two pieces.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from enum import Enum

from node.errors import WetreadError

LONGEST_HEAD = 1 << 14
MOST_LINES = 64
"""Of one part's header."""

LONGEST_ASIDE = 1 << 16
"""Bytes before the first boundary, or after the last one."""

LONGEST_BOUNDARY = 200
"""RFC 2046 says 70; Orthanc's DICOMweb client writes 73."""

BOUNDARY_CHARACTERS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ")


class Malformed(WetreadError):
    """The body is no multipart of the announced boundary."""


@dataclass(frozen=True, slots=True)
class MediaType:
    """A Content-Type taken apart. name: "type/subtype" in lower case; parameters by name in lower case."""

    name: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part begins. headers: by name in lower case."""

    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class PartData:
    """The next bytes of the part."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is whole: the boundary after it was read."""


Event = PartBegin | PartData | PartEnd


class _Place(Enum):
    PREAMBLE = 1
    MARK = 2
    HEAD = 3
    START = 4
    BODY = 5
    EPILOGUE = 6


class MultipartReader:
    """Told the bytes of a body piece by piece by `feed`, and its end by `close`.

    boundary: as RFC 2046 5.1.1 has it, or somewhat longer; raises Malformed when it is none.
    """

    def __init__(self, boundary: str) -> None:
        if not 1 <= len(boundary) <= LONGEST_BOUNDARY or set(boundary) - BOUNDARY_CHARACTERS or boundary.endswith(" "):
            raise Malformed("the boundary is none (RFC 2046 5.1.1)")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._held = b"\r\n"  # a body may begin with its first boundary
        self._at = 0  # what of it was dealt with
        self._place = _Place.PREAMBLE
        self._aside = 0

    def feed(self, piece: bytes) -> Iterator[Event]:
        """What `piece` brings; to be used up before the next one. Raises Malformed."""
        self._held, self._at = self._held[self._at :] + piece, 0
        going = True
        while going:
            if self._place is _Place.BODY:
                data, going = self._take_until_delimiter()
                if data:
                    yield PartData(data)
                if going:
                    yield PartEnd()
            elif self._place is _Place.PREAMBLE:
                data, going = self._take_until_delimiter()
                self._pass_over(len(data), "no boundary where the body should begin with one")
            elif self._place is _Place.MARK:
                going = self._read_mark()
            elif self._place is _Place.HEAD:
                headers = self._read_head()
                going = headers is not None
                if headers is not None:
                    yield PartBegin(headers)
            elif self._place is _Place.START:
                going = self._read_start()
            else:
                self._pass_over(len(self._held) - self._at, "bytes after the last boundary")
                self._at = len(self._held)
                return

    def close(self) -> None:
        """The body has ended. Raises Malformed unless its last boundary was read."""
        if self._place is not _Place.EPILOGUE:
            where = "in the middle of a part" if self._place is _Place.BODY else "before its last boundary"
            raise Malformed(f"the body ends {where}")

    def _take_until_delimiter(self) -> tuple[bytes, bool]:
        """(what is surely before the next delimiter, True when that was found and passed)."""
        begin, at = self._at, self._held.find(self._delimiter, self._at)
        if at < 0:
            self._at = max(len(self._held) - len(self._delimiter) + 1, begin)
            return self._held[begin : self._at], False
        self._at = at + len(self._delimiter)
        self._place = _Place.MARK
        return self._held[begin:at], True

    def _read_mark(self) -> bool:
        """What follows a delimiter: "--" is the last one, a line's end begins a part (RFC 2046: after any padding)."""
        line = self._held[self._at : self._at + LONGEST_HEAD + 2]
        if line.startswith(b"--"):
            self._at, self._place, self._aside = self._at + 2, _Place.EPILOGUE, 0
            return True
        rest = line.lstrip(b" \t")
        padding = len(line) - len(rest)
        if padding > LONGEST_HEAD:
            raise Malformed("a boundary line that does not end")
        if rest.startswith(b"\r\n"):
            self._at, self._place = self._at + padding, _Place.HEAD  # its line's end is that before the first header
            return True
        if b"\r\n".startswith(rest) or line == b"-":
            return False
        raise Malformed("a boundary line goes on with something else")

    def _read_head(self) -> dict[str, str] | None:
        """The header lines of a part; None when there are more to come."""
        end = self._held.find(b"\r\n\r\n", self._at, self._at + LONGEST_HEAD)
        if end < 0:
            if len(self._held) - self._at >= LONGEST_HEAD:
                raise Malformed(f"the header of a part has more than {LONGEST_HEAD} bytes")
            return None
        lines = self._held[self._at : end].split(b"\r\n")[1:]
        self._at, self._place = end + 2, _Place.START
        return _parse_head(lines)

    def _read_start(self) -> bool:
        """The empty line after the header, unless the next boundary follows the header at once: a part without body."""
        start = self._held[self._at : self._at + len(self._delimiter)]
        if len(start) < len(self._delimiter) and self._delimiter.startswith(start):
            return False
        if start != self._delimiter:
            self._at += 2
        self._place = _Place.BODY
        return True

    def _pass_over(self, count: int, why: str) -> None:
        self._aside += count
        if self._aside > LONGEST_ASIDE:
            raise Malformed(f"{why}, but more than {LONGEST_ASIDE} bytes")


def read_parts(pieces: Iterable[bytes], boundary: str) -> Iterator[Iterator[bytes]]:
    """The content of each part of a body that comes in `pieces`, in pieces too; one that is not read to its end is
    passed over. Raises Malformed, at the end of `pieces` too when the body has not come to its own."""
    events = _read_events(pieces, boundary)
    for event in events:
        if isinstance(event, PartBegin):
            content = _read_content(events)
            yield content
            for _ in content:
                pass


def _read_events(pieces: Iterable[bytes], boundary: str) -> Iterator[Event]:
    reader = MultipartReader(boundary)
    for piece in pieces:
        yield from reader.feed(piece)
    reader.close()


def _read_content(events: Iterator[Event]) -> Iterator[bytes]:
    for event in events:
        if isinstance(event, PartEnd):
            return
        if isinstance(event, PartData):
            yield event.data


def _parse_head(lines: list[bytes]) -> dict[str, str]:
    if len(lines) > MOST_LINES:
        raise Malformed(f"the header of a part has more than {MOST_LINES} lines")
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name.strip() or name[:1] in b" \t":
            raise Malformed("a header line of a part is none")
        headers[name.strip().lower().decode("latin-1")] = value.strip().decode("latin-1")
    return headers


def parse_media_type(text: str) -> MediaType:
    """A Content-Type; its name is "" when `text` is none."""
    message = Message()
    message["Content-Type"] = text.replace("\r", " ").replace("\n", " ")
    (name, _), *rest = message.get_params([("", "")])
    parameters = {key.lower(): value for key, value in rest if isinstance(value, str)}
    return MediaType(name.lower() if name.count("/") == 1 else "", parameters)
