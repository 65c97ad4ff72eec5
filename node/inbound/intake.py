"""One instance on its way from the wire to the disk: written as it comes, digest and beginning taken in passing."""

import os
from contextlib import suppress

from node.dicom.identity import HEAD_BYTES
from node.errors import OutOfResources
from node.inbound.spool import Spool, new_digest

LOOK = 1 << 25
"""Bytes between two looks at the free space."""

GATHER = 1000
"""Pieces written at once; the system takes 1024."""


class Intake:
    """A Part 10 file in the making.

    Nothing is raised before `Receiver.finish`: the answer to a C-STORE can be given only when all of it was read, so
    what comes after a failure is read and dropped. pieces: the next bytes of the dataset, views that must stay as they
    are until `flush`. is_kept: the file has its final name, and stays.
    """

    __slots__ = (
        "_digest", "_next_look", "_spool", "failure", "fd", "head", "header", "is_kept", "part", "pieces", "size",
        "syntax",
    )  # fmt: skip

    def __init__(self, spool: Spool, header: bytes, syntax: str) -> None:
        self.part = spool.new_file()
        self.header = header
        self.syntax = syntax
        self.pieces: list[memoryview] = []
        self.head = bytearray()
        self.size = 0
        self.failure: OutOfResources | None = None
        self.is_kept = False
        self._spool = spool
        self._digest = new_digest(syntax)
        self._next_look = 0
        self.fd = -1
        try:
            self.fd = os.open(self.part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o640)
        except OSError as error:
            self._fail(error)

    def flush(self) -> None:
        """Writes the pieces; afterwards the views may change."""
        if self.failure is None and (self.pieces or not self.size):
            for piece in self.pieces:
                self._digest.update(piece)
            if len(self.head) < HEAD_BYTES:
                self._take_head()
            try:
                written = self._write([*self.pieces] if self.size else [self.header, *self.pieces])
                self.size += written
                self._spool.spend(written)
                if self.size >= self._next_look:
                    self._next_look = self.size + LOOK
                    self._spool.check_space()
            except OSError as error:
                self._fail(error)
            except OutOfResources as failure:
                self.failure = failure
                self.discard()
        self.pieces.clear()

    def _take_head(self) -> None:
        for piece in self.pieces:
            self.head += piece[: HEAD_BYTES - len(self.head)]

    def _write(self, pieces: list[bytes | memoryview]) -> int:
        if len(pieces) > GATHER:
            pieces = [b"".join(pieces)]
        written = total = os.writev(self.fd, pieces)
        for piece in pieces:
            written -= len(piece)
        if written < 0:  # a full disk takes a part of it, and says why only to the next call
            rest = memoryview(b"".join(pieces))[total:]
            while rest:
                count = os.write(self.fd, rest)
                rest, total = rest[count:], total + count
        return total

    def hexdigest(self) -> str:
        """See node.inbound.spool.new_digest."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Closes the file. Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def discard(self) -> None:
        """Closes and removes what was written: nobody was told that it is kept. Idempotent."""
        self.close()
        if not self.is_kept:
            with suppress(OSError):
                os.unlink(self.part)  # noqa: PTH108

    def _fail(self, error: OSError) -> None:
        self.failure = OutOfResources(f"the spool cannot be written: {error.strerror}")
        self.discard()
