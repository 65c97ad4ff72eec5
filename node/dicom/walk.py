"""A walk over an encoded dataset: a few values near its beginning, and what its sequences hold (PS3.5 7.1, 7.5)."""

import struct
from collections.abc import Iterator, Sequence

UNDEFINED = 0xFFFFFFFF
LONG_VRS = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
SHORT_VRS = frozenset(
    {
        b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL", b"SS",
        b"ST", b"TM", b"UI", b"UL", b"US",
    }
)  # fmt: skip
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
DEEPEST = 16

_EXPLICIT = struct.Struct("<HH2sH")
_IMPLICIT = struct.Struct("<HHI")
_LENGTH = struct.Struct("<I")


def find_values(head: bytes | bytearray, tags: Sequence[int], *, explicit: bool) -> dict[int, bytes] | None:
    """The values of `tags` (ascending) at the top level of the little endian dataset that begins with `head`.

    None when `head` ends first, when a tag is absent, or when the bytes make no sense: then `search` looks further.
    """
    found: dict[int, bytes] = {}
    wanted = iter(tags)
    tag = next(wanted)
    offset = 0
    try:
        while True:
            # As _read_element; a call for each of some 60 elements of every image would double the price.
            if explicit:
                group, element, vr, length = _EXPLICIT.unpack_from(head, offset)
                start = offset + 8
                if vr not in SHORT_VRS:
                    at, start, length = _read_element(head, offset, explicit)
            else:
                group, element, length = _IMPLICIT.unpack_from(head, offset)
                start = offset + 8
            at = group << 16 | element
            if at >= tag:
                if at > tag or start + length > len(head):
                    return None
                found[tag] = bytes(head[start : start + length])
                tag = next(wanted, 0)
                if not tag:
                    return found
            offset = skip_items(head, start, explicit, 1) if length == UNDEFINED else start + length
    except (struct.error, ValueError):
        return None


def _read_element(head: bytes | bytearray, offset: int, explicit: bool) -> tuple[int, int, int]:
    """(tag, where its value starts, its length)."""
    if not explicit:
        group, element, length = _IMPLICIT.unpack_from(head, offset)
        return group << 16 | element, offset + 8, length
    group, element, vr, length = _EXPLICIT.unpack_from(head, offset)
    if vr in SHORT_VRS:
        return group << 16 | element, offset + 8, length
    if vr in LONG_VRS:
        return group << 16 | element, offset + 12, _LENGTH.unpack_from(head, offset + 8)[0]
    if group == 0xFFFE:
        return group << 16 | element, offset + 8, _LENGTH.unpack_from(head, offset + 4)[0]
    raise ValueError("no value representation")


def split_items(value: bytes, *, explicit: bool) -> Iterator[bytes]:
    """What each item of a sequence's little endian `value` holds, without delimiters. Raises ValueError or struct.error
    where the bytes make no sense."""
    offset = 0
    while offset < len(value):
        group, element, length = _IMPLICIT.unpack_from(value, offset)
        offset += 8
        if group << 16 | element != ITEM:
            raise ValueError("no item")
        end = after = offset + length
        if length == UNDEFINED:
            after = _skip_item(value, offset, explicit, 1)
            end = after - 8
        if after > len(value):
            raise ValueError("an item that breaks off")
        yield value[offset:end]
        offset = after


def split_elements(item: bytes, *, explicit: bool) -> Iterator[tuple[int, str, bytes]]:
    """(tag, VR or "" where it is not explicit, value) of each element in `item`, whose tags must ascend; a sequence's
    value without its delimiter. Raises ValueError or struct.error where the bytes make no sense."""
    offset, last = 0, -1
    while offset < len(item):
        tag, start, length = _read_element(item, offset, explicit)
        vr = item[offset + 4 : offset + 6].decode("ascii") if explicit else ""
        end = after = start + length
        if length == UNDEFINED:
            if explicit and vr != "SQ":
                raise ValueError("an undefined length that is no sequence's")
            after = skip_items(item, start, explicit, 1)
            end = after - 8
        if tag <= last or after > len(item):
            raise ValueError("an element that breaks off, or stands in the wrong place")
        yield tag, vr, item[start:end]
        offset, last = after, tag


def skip_items(head: bytes | bytearray, offset: int, explicit: bool, depth: int) -> int:
    """Behind a sequence of undefined length."""
    if depth > DEEPEST:
        raise ValueError("too deep")
    while True:
        group, element, length = _IMPLICIT.unpack_from(head, offset)
        tag = group << 16 | element
        offset += 8
        if tag == SEQUENCE_END:
            return offset
        if tag != ITEM:
            raise ValueError("no item")
        offset = _skip_item(head, offset, explicit, depth) if length == UNDEFINED else offset + length


def _skip_item(head: bytes | bytearray, offset: int, explicit: bool, depth: int) -> int:
    """Behind an item of undefined length."""
    while True:
        tag, start, length = _read_element(head, offset, explicit)
        if tag == ITEM_END:
            return start
        offset = skip_items(head, start, explicit, depth + 1) if length == UNDEFINED else start + length
