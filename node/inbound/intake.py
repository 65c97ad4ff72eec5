"""One instance on its way from the wire to the disk: written as it comes, digest and beginning taken in passing."""

import os
from contextlib import suppress

from node.dicom.identity import HEAD_BYTES
from node.errors import OutOfResources
from node.inbound.spool import Spool, new_digest

LOOK = 1 << 25
"""Bytes between two looks at the free space."""

GATHER = 256
"""Pieces written at once; the system takes 1024."""


class Intake:
    """A Part 10 file in the making.

    Nothing is raised before `Receiver.finish`: the answer to a C-STORE can be given only when all of it was read, so
    what comes after a failure is read and dropped. is_kept: the file has its final name, and stays. Views given to
    `add` must stay as they are until `flush`.
    """

    __slots__ = (
        "_digest",
        "_fd",
        "_next_look",
        "_pieces",
        "_spool",
        "failure",
        "head",
        "header",
        "is_kept",
        "part",
        "size",
        "syntax",
    )

    def __init__(self, spool: Spool, header: bytes, syntax: str) -> None:
        self.part = spool.new_file()
        self.header = header
        self.syntax = syntax
        self.head = bytearray()
        self.size = len(header)
        self.failure: OutOfResources | None = None
        self.is_kept = False
        self._spool = spool
        self._digest = new_digest(syntax)
        self._pieces: list[bytes | memoryview] = [header]
        self._next_look = 0
        self._fd = -1
        try:
            self._fd = os.open(self.part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o640)
        except OSError as error:
            self._fail(error)

    @property
    def fd(self) -> int:
        """The open file."""
        return self._fd

    def add(self, piece: memoryview) -> None:
        """The next bytes of the dataset."""
        self._pieces.append(piece)
        if len(self._pieces) >= GATHER:
            self.flush()

    def flush(self) -> None:
        """Writes what was added; afterwards the views may change."""
        pieces, self._pieces = self._pieces, []
        if self.failure is not None or not pieces:
            return
        for piece in pieces:
            if piece is not self.header:
                self._digest.update(piece)
                if len(self.head) < HEAD_BYTES:
                    self.head += piece[: HEAD_BYTES - len(self.head)]
        try:
            self.size += self._write(pieces)
            if self.size >= self._next_look:
                self._next_look = self.size + LOOK
                self._spool.check_space()
        except OSError as error:
            self._fail(error)
        except OutOfResources as failure:
            self.failure = failure
            self.discard()

    def _write(self, pieces: list[bytes | memoryview]) -> int:
        total = sum(len(piece) for piece in pieces)
        written = os.writev(self._fd, pieces)
        if written < total:
            rest = memoryview(b"".join(pieces))[written:]
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        return total if pieces[0] is not self.header else total - len(self.header)

    def hexdigest(self) -> str:
        """See node.inbound.spool.new_digest."""
        return self._digest.hexdigest()

    def close(self) -> None:
        """Closes the file. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def discard(self) -> None:
        """Closes and removes what was written: nobody was told that it is kept. Idempotent."""
        self.close()
        if not self.is_kept:
            with suppress(OSError):
                os.unlink(self.part)  # noqa: PTH108

    def _fail(self, error: OSError) -> None:
        self.failure = OutOfResources(f"the spool cannot be written: {error.strerror}")
        self.discard()
