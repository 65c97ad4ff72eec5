"""Frames of one bit a pixel, as a stream that packs them when it is read: all at once would not fit in memory."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from node.dicom.extent import Extent

BATCH_BITS = 1 << 24


class PackedFrames(io.BufferedIOBase):
    """Bits of frames without a gap, least significant first, padded to an even length (PS3.5 8.1.1, 8.2).

    extents, planes: of each frame, its segment and its plane k. rows, columns: of the frames.
    A value of Pixel Data that pydicom writes chunk by chunk; it reads the masks whenever it is read, from any place.
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
        begin = first
        while begin < last:
            end = begin + 1
            while end < last and self._extents[end] is self._extents[begin]:
                end += 1
            extent, place = self._extents[begin], slice(begin - first, end - first)
            mask = extent.crop(self._planes[begin:end])
            if whole_bytes:
                byte = extent.columns.start // 8
                mask = np.pad(mask, ((0, 0), (0, 0), (extent.columns.start % 8, 0)))
                packed = np.packbits(mask, axis=-1, bitorder="little")
                frames[place, extent.rows, byte : byte + packed.shape[-1]] = packed
            else:
                frames[place, extent.rows, extent.columns] = mask
            begin = end
        return (frames if whole_bytes else np.packbits(frames, bitorder="little")).tobytes()
