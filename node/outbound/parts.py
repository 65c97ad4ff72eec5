"""The parts of a multipart answer (RFC 2046 5.1), one after the other as they come: none is held as a whole."""

from collections.abc import Callable, Iterator
from email.message import Message

CHUNK = 1 << 18
LONGEST_HEAD = 1 << 14
"""Bytes of preamble, or of the header of a part, before it is none."""


def find_boundary(content_type: str) -> str:
    """The boundary that a Content-Type names. Raises ValueError when it is not multipart/related."""
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/related" or not isinstance(boundary, str) or not boundary:
        raise ValueError("no multipart/related")
    return boundary


def read_parts(read: Callable[[int], bytes], boundary: str) -> Iterator[Iterator[bytes]]:
    """The content of each part, in pieces. read: the next bytes, at most so many; b"" at the end.

    A part that was not read to its end is passed over. Raises ValueError when the answer ends too early or is none.
    """
    stream = _Stream(read, b"\r\n--" + boundary.encode("latin-1"))
    for _ in stream.read_body(LONGEST_HEAD):
        pass
    while not stream.is_last():
        stream.skip_header()
        body = stream.read_body()
        yield body
        for _ in body:
            pass


class _Stream:
    def __init__(self, read: Callable[[int], bytes], delimiter: bytes) -> None:
        self._read = read
        self._delimiter = delimiter
        self._buffer = bytearray(b"\r\n")  # the first delimiter may be the very beginning

    def _fill(self) -> None:
        piece = self._read(CHUNK)
        if not piece:
            raise ValueError("it ends too early")
        self._buffer += piece

    def _take(self, count: int) -> bytes:
        piece = bytes(self._buffer[:count])
        del self._buffer[:count]
        return piece

    def is_last(self) -> bool:
        """Behind a delimiter: two hyphens end it all."""
        while len(self._buffer) < 2:
            self._fill()
        return self._buffer.startswith(b"--")

    def skip_header(self) -> None:
        """To the content of the part; what its header says is not needed, the content says it better."""
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            if len(self._buffer) > LONGEST_HEAD:
                raise ValueError("a part has no end of header")
            self._fill()
        del self._buffer[: end + 4]
        # An empty content: its delimiter's line break was taken for the end of the header.
        if self._buffer.startswith(self._delimiter[2:]):
            self._buffer[:0] = b"\r\n"

    def read_body(self, longest: float = float("inf")) -> Iterator[bytes]:
        """What comes before the next delimiter, which is passed over."""
        seen = 0
        while (at := self._buffer.find(self._delimiter)) < 0:
            safe = len(self._buffer) - len(self._delimiter)
            if safe > 0:
                seen += safe
                if seen > longest:
                    raise ValueError("it does not begin with a part")
                yield self._take(safe)
            self._fill()
        if at:
            yield self._take(at)
        del self._buffer[: len(self._delimiter)]
