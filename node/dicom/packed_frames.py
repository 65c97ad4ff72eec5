"""Frames of one bit a pixel, as a stream that packs them when it is read: all at once would not fit in memory."""

import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from node.dicom.extent import Extent
from node.dicom.pieces import Pieces

BATCH_BITS = 1 << 24


class PackedFrames(Pieces):
    """Bits of frames without a gap, least significant first, padded to an even length (PS3.5 8.1.1, 8.2).

    extents, planes: of each frame, its segment and its plane k. rows, columns: of the frames.
    A value of Pixel Data that is never whole in memory: the masks are read whenever it is, from any place.
    """

    def __init__(self, extents: Sequence[Extent], planes: NDArray[np.intp], rows: int, columns: int) -> None:
        self._extents, self._planes, self._rows, self._columns = extents, planes, rows, columns
        self._frames_a_batch = 8 * max(1, BATCH_BITS // (8 * rows * columns))  # eight frames always fill whole bytes
        length = -(-len(planes) * rows * columns // 8)
        super().__init__(length + length % 2, self._frames_a_batch * rows * columns // 8)

    def __deepcopy__(self, memo: dict[int, object]) -> "PackedFrames":
        return PackedFrames(self._extents, self._planes, self._rows, self._columns)

    def write_at(self, descriptor: int, start: int) -> None:
        """Writes all of it at `start` of an open file, and makes that its end. Where rows fill whole bytes, only those
        that a segment occupies are written: the rest is holes, which read as zeros and cost no disk.

        Raises OSError.
        """
        os.ftruncate(descriptor, start + len(self))
        for place, piece in self._pieces():
            _write_whole(descriptor, piece, start + place)

    def _pieces(self) -> Iterator[tuple[int, memoryview]]:
        """All that is not zero, and where it goes. Whoever reads from another thread meanwhile is not disturbed."""
        for number in range(-(-len(self) // self._size)):
            first = number * self._frames_a_batch
            last = min(first + self._frames_a_batch, len(self._planes))
            if self._columns % 8:
                yield number * self._size, memoryview(self._pack(first, last))
                continue
            for begin, end in self._runs(first, last):
                rows = self._extents[begin].rows
                packed = np.zeros((end - begin, rows.stop - rows.start, self._columns // 8), np.uint8)
                self._pack_run(begin, end, packed)
                for n, frame in enumerate(packed, begin):
                    yield (n * self._rows + rows.start) * self._columns // 8, frame.data.cast("B")

    def _runs(self, first: int, last: int) -> Iterator[tuple[int, int]]:
        """The frames first to last - 1 in runs of one segment."""
        begin = first
        while begin < last:
            end = begin + 1
            while end < last and self._extents[end] is self._extents[begin]:
                end += 1
            yield begin, end
            begin = end

    def _make(self, number: int) -> bytes:
        first = number * self._frames_a_batch
        packed = self._pack(first, min(first + self._frames_a_batch, len(self._planes)))
        return packed + b"\0" * (len(packed) % 2)

    def _pack(self, first: int, last: int) -> bytes:
        """Frames first to last - 1. Where rows fill whole bytes, only what the segments occupy is packed."""
        whole_bytes = self._columns % 8 == 0
        shape = (last - first, self._rows, self._columns // 8 if whole_bytes else self._columns)
        frames = np.zeros(shape, np.uint8)
        for begin, end in self._runs(first, last):
            extent, place = self._extents[begin], slice(begin - first, end - first)
            if whole_bytes:
                self._pack_run(begin, end, frames[place, extent.rows])
            else:
                frames[place, extent.rows, extent.columns] = extent.crop(self._planes[begin:end])
        return (frames if whole_bytes else np.packbits(frames, bitorder="little")).tobytes()

    def _pack_run(self, begin: int, end: int, into: NDArray[np.uint8]) -> None:
        """Packs frames of one segment into zeros: (frame, row that the segment may occupy, byte)."""
        extent = self._extents[begin]
        byte, bit = divmod(extent.columns.start, 8)
        mask = np.pad(extent.crop(self._planes[begin:end]), ((0, 0), (0, 0), (bit, 0)))
        packed = np.packbits(mask, axis=-1, bitorder="little")
        into[:, :, byte : byte + packed.shape[-1]] = packed


def _write_whole(descriptor: int, piece: memoryview, place: int) -> None:
    """pwrite may write less than it is given."""
    while piece:
        count = os.pwrite(descriptor, piece, place)
        piece, place = piece[count:], place + count
