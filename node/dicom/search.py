"""The walk of node.dicom.walk over a whole dataset in a file, deflated or not.

It keeps nothing but the values wanted, so that no dataset, however made, costs memory.
"""

import os
import struct
import zlib
from collections.abc import Collection
from typing import BinaryIO, Protocol

from node.dicom.walk import ITEM_END, LONG_VRS, SEQUENCE_END, SHORT_VRS, UNDEFINED
from node.errors import CannotUnderstand

STEP = 1 << 16
PIXEL_DATA = 0x7FE00010
DEEPEST = 64
LONGEST = 1024
"""A longer value of a wanted tag is passed over."""


class Source(Protocol):
    """A dataset from its beginning."""

    def read(self, count: int) -> bytes:
        """The next `count` bytes, less at the end."""
        ...

    def skip(self, count: int) -> None:
        """Passes over `count` bytes. Raises CannotUnderstand when there are fewer."""
        ...


class Plain:
    """Of a file, from where it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._size = os.fstat(file.fileno()).st_size

    def read(self, count: int) -> bytes:
        return self._file.read(count)

    def skip(self, count: int) -> None:
        if self._file.tell() + count > self._size:
            raise CannotUnderstand("the dataset ends within a value")
        self._file.seek(count, os.SEEK_CUR)


class Inflated:
    """Of a deflated file, from where it is (PS3.5 A.5)."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)

    def read(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count and (piece := self._inflate(count - len(data))):
            data += piece
        return bytes(data)

    def skip(self, count: int) -> None:
        while count:
            piece = self._inflate(min(count, STEP))
            if not piece:
                raise CannotUnderstand("the dataset ends within a value")
            count -= len(piece)

    def _inflate(self, most: int) -> bytes:
        while not self._stream.eof:
            data = self._stream.unconsumed_tail or self._file.read(STEP)
            piece = self._stream.decompress(data, most)
            if piece or not data:
                return piece
        return b""


def search(source: Source, tags: Collection[int], *, explicit: bool, little: bool = True) -> dict[int, bytes]:
    """The values of `tags` at the top level, as far as there are any before the pixels.

    Raises CannotUnderstand when the bytes make no sense, struct.error and zlib.error when they end or are damaged.
    """
    order = "<" if little else ">"
    found: dict[int, bytes] = {}
    layers = [explicit]
    while len(found) < len(tags) and len(head := source.read(8)) == 8:
        group, element = struct.unpack(order + "HH", head[:4])
        tag = group << 16 | element
        if len(layers) == 1 and tag == PIXEL_DATA:
            break
        length = _read_length(source, head, group, layers[-1], order)
        if tag in (ITEM_END, SEQUENCE_END):
            if len(layers) > 1:
                layers.pop()
        elif length == UNDEFINED:
            # What has no VR of its own but a length without end is in Implicit VR (PS3.5 6.2.2, note 2).
            layers.append(layers[-1] and head[4:6] != b"UN")
            if len(layers) > DEEPEST:
                raise CannotUnderstand("sequences too deep")
        elif len(layers) == 1 and tag in tags and length <= LONGEST:
            found[tag] = source.read(length)
        else:
            source.skip(length)
    return found


def _read_length(source: Source, head: bytes, group: int, explicit: bool, order: str) -> int:
    if not explicit or group == 0xFFFE:
        return int(struct.unpack(order + "I", head[4:])[0])
    vr = head[4:6]
    if vr in SHORT_VRS:
        return int(struct.unpack(order + "H", head[6:])[0])
    if vr in LONG_VRS:
        return int(struct.unpack(order + "I", source.read(4))[0])
    raise CannotUnderstand("an element has no value representation")
