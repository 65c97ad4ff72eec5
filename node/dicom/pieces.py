"""A value that is never whole in memory: a stream whose pieces are made when they are read."""

from abc import abstractmethod
from io import SEEK_CUR, SEEK_END, SEEK_SET, BufferedIOBase


class Pieces(BufferedIOBase):
    """`length` bytes in pieces of `size`, the last of which may be shorter; read from any place. One is kept."""

    def __init__(self, length: int, size: int) -> None:
        self._length, self._size = length, size
        self._place, self._held, self._piece = 0, -1, b""

    @abstractmethod
    def _make(self, number: int) -> bytes:
        """Piece `number`, from 0."""

    def __len__(self) -> int:
        return self._length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        start = {SEEK_SET: 0, SEEK_CUR: self._place, SEEK_END: self._length}[whence]
        self._place = max(0, start + offset)
        return self._place

    def read(self, size: int | None = -1, /) -> bytes:
        """The next `size` bytes, fewer at the end; all that are left when it is negative or None. Raises ValueError
        when a piece is shorter than it should be."""
        left = max(0, self._length - self._place)
        wanted = left if size is None or size < 0 else min(size, left)
        parts = []
        while wanted:
            number, offset = divmod(self._place, self._size)
            part = self._get(number)[offset : offset + wanted]
            if not part:
                raise ValueError("the value breaks off")
            parts.append(part)
            self._place += len(part)
            wanted -= len(part)
        return b"".join(parts)

    def _get(self, number: int) -> bytes:
        if number != self._held:
            self._held, self._piece = number, self._make(number)
        return self._piece
