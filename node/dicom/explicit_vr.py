"""Elements, sequences and items as bytes in Explicit VR Little Endian with lengths that are said (PS3.5 7.1.2, 7.5)."""

import struct
from collections.abc import Iterator

from node.dicom.walk import LONG_VRS, SHORT_VRS

ITEM = b"\xfe\xff\x00\xe0"
UNDEFINED = 0xFFFFFFFF

_SHORT = struct.Struct("<HH2sH")
_LONG = struct.Struct("<HH2sHI")
_ITEM = struct.Struct("<4sI")


class NotPlain(ValueError):
    """The bytes have undefined lengths, or are not Explicit VR Little Endian: only a whole parser reads them."""


def encode_short(tag: int, vr: bytes, value: bytes) -> bytes:
    """An element whose VR has a length of 16 bits; `value` is even and holds less than 64 kB."""
    return _SHORT.pack(tag >> 16, tag & 0xFFFF, vr, len(value)) + value


def encode_sequence(tag: int, *items: bytes) -> bytes:
    """A sequence of items, each given by its elements."""
    body = b"".join(encode_item(item) for item in items)
    return _LONG.pack(tag >> 16, tag & 0xFFFF, b"SQ", 0, len(body)) + body


def encode_item(elements: bytes) -> bytes:
    """An item of a sequence (PS3.5 table 7.5-1)."""
    return _ITEM.pack(ITEM, len(elements)) + elements


def walk_items(data: bytes) -> Iterator[bytes]:
    """The elements of each item of a sequence's value. Raises NotPlain."""
    offset = 0
    while offset < len(data):
        if offset + 8 > len(data):
            raise NotPlain("an item is cut")
        tag, length = _ITEM.unpack_from(data, offset)
        offset += 8
        if tag != ITEM or length == UNDEFINED or offset + length > len(data):
            raise NotPlain("no item of a length that is said")
        yield data[offset : offset + length]
        offset += length


def walk_elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """(tag, value) of each element of an item. Raises NotPlain."""
    offset = 0
    while offset < len(data):
        try:
            group, element, vr, length = _SHORT.unpack_from(data, offset)
            start = offset + 8
            if vr in LONG_VRS:
                length, start = _LONG.unpack_from(data, offset)[4], offset + 12
            elif vr not in SHORT_VRS:
                raise NotPlain("no value representation")
        except struct.error as error:
            raise NotPlain("an element is cut") from error
        offset = start + length
        if length == UNDEFINED or offset > len(data):
            raise NotPlain("no element of a length that is said")
        yield group << 16 | element, data[start:offset]
