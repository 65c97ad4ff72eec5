"""Answers of many parts, sent as they are made (PS3.18 8.6.1.2, RFC 2046 5.1)."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO
from uuid import uuid4

from anyio.to_thread import run_sync
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from node.web.dicomweb.media import MULTIPART
from node.web.outlet import Stretch
from node.web.protocol import GIVE, Give

CHUNK = 1 << 20
"""Bytes that are read at once."""
BATCH = 4 << 20
"""Bytes that are in memory at once."""
SMALL = 1 << 16
"""Pieces of fewer bytes are sent together."""


@dataclass(frozen=True, slots=True)
class Part:
    """kind: its Content-Type with parameters. size: of its body in bytes where that is known before it is made.
    file: that holds the body and nothing else, where one does."""

    kind: str
    body: Iterable[bytes]
    size: int | None = None
    location: str = ""
    file: Path | None = None

    def make_head(self) -> bytes:
        """Its header lines and the empty line after them."""
        return _make_head(self.kind, self.size, self.location)


@lru_cache(maxsize=256)
def _make_head(kind: str, size: int | None, location: str) -> bytes:
    """The slices of a series have the same."""
    lines = [f"Content-Type: {kind}"]
    lines += [f"Content-Length: {size}"] * (size is not None)
    lines += [f"Content-Location: {location}"] * bool(location)
    return "\r\n".join([*lines, "", ""]).encode()


def answer_parts(
    kind: str, parts: Sequence[Part] | Iterator[Part], status: int = 200, headers: Mapping[str, str] | None = None
) -> StreamingResponse:
    """multipart/related of parts of `kind`. Where all sizes are known from the start the whole length is said; where
    all are files, they go as `_FilesResponse` has it."""
    boundary = uuid4().hex
    said = dict(headers or {})
    said["Content-Type"] = f'{MULTIPART}; type="{kind}"; boundary={boundary}'
    if not isinstance(parts, Sequence) or any(part.size is None for part in parts):
        return StreamingResponse(send_pieces(_join(boundary, parts)), status, said)
    size = _measure(boundary, parts)
    said["Content-Length"] = str(size)
    if all(part.file is not None for part in parts):
        return _FilesResponse(boundary, parts, size, status, said)
    return StreamingResponse(send_pieces(_join(boundary, parts)), status, said)


class _FilesResponse(StreamingResponse):
    """Parts that are files, `size` bytes with all around them. Where the server can, the kernel gives them to the
    connection: nothing is copied here."""

    def __init__(
        self, boundary: str, parts: Sequence[Part], size: int, status: int, headers: Mapping[str, str]
    ) -> None:
        super().__init__(send_pieces(_join(boundary, parts)), status, headers)
        self._boundary, self._parts, self._size = boundary, parts, size

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer."""
        give: Give | None = scope.get("extensions", {}).get(GIVE)
        if give is None or scope["method"] != "GET":
            await super().__call__(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await give(_stretch(self._boundary, self._parts), self._size)


async def send_pieces(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    """`pieces`, made on a thread some at a time: a step from thread to network for each would cost more than it does
    to copy them."""
    made = iter(pieces)
    while batch := await run_sync(_take, made):
        for piece in batch:
            yield piece


def _take(made: Iterator[bytes]) -> list[bytes]:
    """The next pieces, BATCH bytes or a little more; small ones together."""
    batch: list[bytes] = []
    small: list[bytes] = []
    size = 0
    for piece in made:
        size += len(piece)
        if len(piece) < SMALL:
            small.append(piece)
        else:
            batch += [b"".join(small), piece] if small else [piece]
            small = []
        if size >= BATCH:
            break
    return [*batch, b"".join(small)] if small else batch


def read_file(path: Path) -> Iterator[bytes]:
    """Its bytes. Where it is gone by now, retention was faster than the answer: the connection breaks off."""
    yield from read_pieces(path.open("rb", buffering=0))


def read_pieces(opened: IO[bytes]) -> Iterator[bytes]:
    """What is left of an open file, which is closed then."""
    with opened as file:
        while piece := file.read(CHUNK):
            yield piece


def _join(boundary: str, parts: Iterable[Part]) -> Iterator[bytes]:
    delimiter = f"\r\n--{boundary}\r\n".encode()
    for part in parts:
        yield delimiter + part.make_head()
        yield from part.body
    yield f"\r\n--{boundary}--\r\n".encode()


def _stretch(boundary: str, parts: Iterable[Part]) -> Iterator[Stretch]:
    """The same bytes as `_join` of parts that are files."""
    delimiter = f"\r\n--{boundary}\r\n".encode()
    for part in parts:
        yield Stretch(delimiter + part.make_head(), part.file, part.size or 0)
    yield Stretch(f"\r\n--{boundary}--\r\n".encode())


def _measure(boundary: str, parts: Sequence[Part]) -> int:
    around = len(boundary) + 6
    return around + 2 + sum(around + len(part.make_head()) + (part.size or 0) for part in parts)
