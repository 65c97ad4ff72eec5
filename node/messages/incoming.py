"""A message that somebody sends us, taken apart: its header, its segments, its fields by number. Tolerant of everything
but its first segment. Nothing of it is ever logged: neither by us, nor by the library, whose own words quote values.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import hl7

from node.errors import MessageNotUnderstood

CHARSETS = {
    "ASCII": "latin-1",  # bytes beyond it are somebody's mistake; this loses none of them
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UNICODE UTF-16": "utf-16",
    "ISO IR87": "iso2022_jp",
    "ISO IR159": "iso2022_jp_1",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
} | {f"8859/{part}": f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)}
"""MSH-18 (table 0211) -> the codec of Python."""

NULL = '""'
"""The value that says: delete what you have (2.5.3)."""


@dataclass(frozen=True, slots=True, repr=False)
class Incoming:
    """A message. kind: (code, event) of MSH-9, ("ORM", "O01"). sender, receiver: (application, facility).
    processing, version: MSH-11, MSH-12. accept, application: which acknowledgments its sender wants, MSH-15 and 16."""

    kind: tuple[str, str]
    control_id: str
    sender: tuple[str, str]
    receiver: tuple[str, str]
    processing: str
    version: str
    accept: str
    application: str
    segments: Sequence["Part"]


@dataclass(frozen=True, slots=True, repr=False)
class Part:
    """A segment."""

    name: str
    fields: tuple[Any, ...]
    marks: str

    def read(self, number: int, component: int = 1, repetition: int = 1) -> str:
        """A component of a field as text, its first subcomponent, escapes undone; "" where it is absent, empty or
        null. Everything counts from 1."""
        value = self._find(number)
        for place in (repetition, component, 1):
            if isinstance(value, str):
                if place != 1:
                    return ""
                continue
            if len(value) < place:
                return ""
            value = value[place - 1]
        text = unescape(str(value), self.marks).strip()
        return "" if text == NULL else text

    def count(self, number: int) -> int:
        """How many repetitions a field has."""
        value = self._find(number)
        return 0 if isinstance(value, str) else len(value)

    def _find(self, number: int) -> Any:
        return self.fields[number] if number < len(self.fields) else ""


def read_incoming(block: bytes) -> Incoming:
    """`block` as a message. Raises MessageNotUnderstood, whose words quote nothing of it."""
    if not block.startswith(b"MSH") or len(block) < 9:
        raise MessageNotUnderstood("it does not begin with MSH and its delimiters")
    try:
        message = hl7.parse(_decode(block))
        parts = [_to_part(segment) for segment in message]
    except Exception as error:  # noqa: BLE001  whatever the library stumbles over, its words may quote the message
        raise MessageNotUnderstood(f"it cannot be taken apart ({type(error).__name__})") from None
    head = parts[0]
    return Incoming(
        kind=(head.read(9), head.read(9, 2)),
        control_id=head.read(10),
        sender=(head.read(3), head.read(4)),
        receiver=(head.read(5), head.read(6)),
        processing=head.read(11) or "P",
        version=head.read(12),
        accept=head.read(15),
        application=head.read(16),
        segments=parts,
    )


def _decode(block: bytes) -> str:
    """By MSH-18; by what the bytes look like where it is empty or unknown."""
    head = block.split(b"\r", 1)[0].split(block[3:4])
    named = head[17].decode("latin-1").split("~", maxsplit=1)[0].strip().upper() if len(head) > 17 else ""
    codec = CHARSETS.get(named, "utf-8")
    try:
        text = block.decode(codec)
    except UnicodeError:
        text = block.decode("latin-1")
    return text.replace("\r\n", "\r").replace("\n", "\r")


def _to_part(segment: hl7.Segment) -> Part:
    fields = tuple(segment)
    return Part(str(segment[0]), fields, f"{segment.separators[1:]}{segment.esc}")


def unescape(text: str, marks: str = "|~^&\\") -> str:
    """`text` without its escape sequences (2.7). marks: separators of fields, repetitions, components, subcomponents,
    and the escape character. A sequence that means nothing to us is left out."""
    field, repetition, component, subcomponent, escape = tuple(marks)
    if escape not in text:
        return text
    known = {"F": field, "R": repetition, "S": component, "T": subcomponent, "E": escape, ".br": "\n", ".sp": "\n"}
    pieces = text.split(escape)
    if len(pieces) % 2 == 0:  # the last one was never closed: it is a character like any other
        pieces[-2:] = [pieces[-2] + escape + pieces[-1]]
    return "".join(piece if n % 2 == 0 else known.get(piece, _from_hex(piece)) for n, piece in enumerate(pieces))


def _from_hex(sequence: str) -> str:
    try:
        return bytes.fromhex(sequence[1:]).decode("utf-8") if sequence[:1] == "X" else ""
    except ValueError:
        return ""


def find_groups(message: Incoming, first: str) -> Iterator[list[Part]]:
    """The segments from each one called `first` to the next."""
    group: list[Part] = []
    for part in message.segments:
        if part.name == first and group:
            yield group
            group = []
        if group or part.name == first:
            group.append(part)
    if group:
        yield group
