"""Frames of one bit a pixel, as a stream that packs them when it is read: all at once would not fit in memory."""

import io
import os
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from node.dicom.extent import Extent

BATCH_BITS = 1 << 24


class PackedFrames(io.BufferedIOBase):
    """Bits of frames without a gap, least significant first, padded to an even length (PS3.5 8.1.1, 8.2).

    extents, planes: of each frame, its segment and its plane k. rows, columns: of the frames.
    A value of Pixel Data that is never whole in memory: the masks are read whenever it is, from any place.
    """

    def __init__(self, extents: Sequence[Extent], planes: NDArray[np.intp], rows: int, columns: int) -> None:
        self._extents, self._planes, self._rows, self._columns = extents, planes, rows, columns
        self._frames_a_batch = 8 * max(1, BATCH_BITS // (8 * rows * columns))  # eight frames always fill whole bytes
        self._batch_bytes = self._frames_a_batch * rows * columns // 8
        self._place, self._held, self._batch = 0, -1, b""

    def __len__(self) -> int:
        length = -(-len(self._planes) * self._rows * self._columns // 8)
        return length + length % 2

    def __deepcopy__(self, memo: dict[int, object]) -> "PackedFrames":
        return PackedFrames(self._extents, self._planes, self._rows, self._columns)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: len(self)}[whence]
        self._place = max(0, start + offset)
        return self._place

    def read(self, size: int | None = -1, /) -> bytes:
        """The next `size` bytes, fewer at the end; all that are left when it is negative or None."""
        left = max(0, len(self) - self._place)
        wanted = left if size is None or size < 0 else min(size, left)
        parts = []
        while wanted:
            number, offset = divmod(self._place, self._batch_bytes)
            part = self._get_batch(number)[offset : offset + wanted]
            parts.append(part)
            self._place += len(part)
            wanted -= len(part)
        return b"".join(parts)

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
        for number in range(-(-len(self) // self._batch_bytes)):
            first = number * self._frames_a_batch
            last = min(first + self._frames_a_batch, len(self._planes))
            if self._columns % 8:
                yield number * self._batch_bytes, memoryview(self._pack(first, last))
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

    def _get_batch(self, number: int) -> bytes:
        if number != self._held:
            first = number * self._frames_a_batch
            packed = self._pack(first, min(first + self._frames_a_batch, len(self._planes)))
            self._held, self._batch = number, packed + b"\0" * (len(packed) % 2)
        return self._batch

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
