"""Instances that we fetched ourselves come in here: the same judgment and the same spool as at the door.

In:  the bytes of Part 10 files, piece by piece.   Out: files in spool/kept, rows in the ledger.
A crash leaves an association without an end; the next start ends it as "lost".
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from node.dicom.identity import read_identity
from node.errors import CannotUnderstand, OutOfResources
from node.inbound.receive import Receiver
from node.inbound.recorder import Recorder
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.model.archive import Sink
from node.model.batch import Ended, Opened

LISTENER = "gather"
"""Under this name its associations stand in the ledger."""


class SideDoor:
    """One per process and `listener`, from `start` to `stop`."""

    def __init__(self, spool: Spool, ledger: Ledger, inflate_ratio: int, listener: str = LISTENER) -> None:
        self._listener = listener
        self._spool = spool
        self._ledger = ledger
        self._recorder = Recorder(ledger, spool)
        self._receiver = Receiver(spool, ledger, self._recorder, inflate_ratio)

    def start(self) -> None:
        """Begins to write rows."""
        self._ledger.lose_associations(self._listener, time.time())
        self._recorder.start()

    def stop(self) -> None:
        """Writes the rows that wait."""
        self._recorder.stop()

    @contextmanager
    def open(self, caller: str, study_uid: str) -> Iterator[Sink]:
        """A sink for what `caller` gives us of a study, as one association; at its end all rows are written. What is of
        another study is refused and not kept: it was not asked for."""
        key, opened = str(uuid4()), False

        def take(pieces: Iterable[bytes]) -> None:
            nonlocal opened
            if not opened:
                self._recorder.open_association(Opened(key, self._listener, caller, time.time()))
                opened = True
            part = Path(self._spool.new_file())
            try:
                self._spool.spend(_write(part, pieces))
                if read_identity(part).study_uid != study_uid:
                    raise CannotUnderstand("an instance of another study than was asked for")
                self._receiver.admit(part, caller, key)
            finally:
                part.unlink(missing_ok=True)

        how = "aborted"
        try:
            yield take
            how = "released"
        finally:
            if opened:
                self._recorder.end_association(Ended(key, how, time.time()))
                self._recorder.flush()


def _write(part: Path, pieces: Iterable[bytes]) -> int:
    try:
        with part.open("xb") as file:
            return sum(file.write(piece) for piece in pieces)
    except OSError as error:
        if error.errno is None:
            raise
        raise OutOfResources(f"the spool cannot be written: {error.strerror}") from error
