"""The index catches up with the ledger, outside of the door: headers are read once, some time after they came.

In:  numbers of the ledger, files in spool and outbox.   Out: rows of the index.
A query waits until the index has caught up, but not longer than PATIENCE: after that it says that more is to come.
"""

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock

from pydicom.uid import UID

from node.dicom.header import find_value, read_header
from node.errors import CannotUnderstand
from node.ledger import Ledger
from node.model.job import State
from node.rounds import keep_going
from node.web.dicomweb.index import UNFIT, Entry, Index
from node.web.dicomweb.json_model import to_json

log = logging.getLogger(__name__)

AT_ONCE = 200
"""Instances in one transaction of the index."""

RESULTS_AT_ONCE = 400
"""Results that are compared with the ledger and the outbox at once: a node has many more than should be in memory."""

PATIENCE = 5.0
"""Seconds for which a query waits."""

PAUSE = 2.0
"""Seconds between two looks at the ledger."""

COMPARE_EVERY = 300.0
"""Seconds between two comparisons of the whole index with the ledger: what retention took, what came back."""

COMPARE_RESULTS_EVERY = 30.0
"""Seconds between two comparisons of the results in the index with the ledger and the outbox: for so long, and no
longer, those of a job that was canceled are still found."""

SPOOL, OUTBOX = "instance", "result_object"
IMPLICIT = "1.2.840.10008.1.2"


class Indexer:
    """spool, outbox: the folders that paths in the ledger are relative to."""

    def __init__(self, ledger: Ledger, spool: Path, outbox: Path, index: Index) -> None:
        self._ledger, self._index = ledger, index
        self._spool, self._outbox = spool, outbox
        self._lock = Lock()
        self._compared_at = self._compared_results_at = 0.0

    def run(self, stop: Event) -> None:
        """Catches up until `stop` is set."""
        keep_going("index", self.tick, PAUSE, stop)

    def tick(self, now: float) -> None:
        """One round at `now` (epoch seconds)."""
        while not self.catch_up():
            pass
        if now - self._compared_results_at >= COMPARE_RESULTS_EVERY:
            self._compare_outbox()
            self._compared_results_at = now
        if now - self._compared_at >= COMPARE_EVERY:
            self._compare_spool()
            self._compared_at = now

    def catch_up(self, patience: float = PATIENCE) -> bool:
        """Indexes what came; False when there is more to do after `patience` seconds."""
        until = time.monotonic() + patience
        if not self._lock.acquire(timeout=patience):
            return False
        try:
            return self._read_all(SPOOL, self._read_instances, until) and self._read_all(
                OUTBOX, self._read_objects, until
            )
        finally:
            self._lock.release()

    def _read_all(self, source: str, read: Callable[[int], list[tuple[int, Path]]], until: float) -> bool:
        while rows := read(self._index.read_to(source)):
            self._add(make_entries(path for _, path in rows), source, rows[-1][0])
            if time.monotonic() > until:
                return False
        return True

    def _read_instances(self, after: int) -> list[tuple[int, Path]]:
        return [(number, self._spool / one.path) for number, one in self._ledger.find_arrivals(after, AT_ONCE)]

    def _read_objects(self, after: int) -> list[tuple[int, Path]]:
        return [(number, self._outbox / one.path) for number, one in self._ledger.find_new_objects(after, AT_ONCE)]

    def _compare_spool(self) -> None:
        """Studies of which the index holds more or less than the ledger are compared file by file."""
        there, here = self._ledger.count_present(), self._index.count_under(self._spool)
        for study in [uid for uid in there.keys() | here.keys() if there.get(uid, 0) != here.get(uid, 0)]:
            present = {self._spool / one.path for one in self._ledger.find_instances(study)}
            indexed = self._index.find_under(self._spool, study)
            self._replace(indexed - present, present - indexed)

    def _compare_outbox(self) -> None:
        """Results that retention took or whose job was canceled go; those that a rerun wrote again are read again."""
        after = ""
        while results := self._index.find_page(self._outbox, after, RESULTS_AT_ONCE):
            self._compare_results([(Path(path), made_at) for path, made_at in results])
            after = results[-1][0]

    def _compare_results(self, results: Sequence[tuple[Path, float]]) -> None:
        """(file, its change time when it was indexed) of each of them."""
        gone, changed = [], []
        named = self._ledger.find_named({path.parent.name for path, _ in results})
        for path, made_at in results:
            job = named.get(path.parent.name)
            try:
                if job is not None and job.state == State.CANCELED:
                    gone.append(path)
                elif path.stat().st_mtime != made_at:
                    changed.append(path)
            except FileNotFoundError:
                gone.append(path)
        self._replace(gone, changed)

    def _replace(self, gone: Iterable[Path], new: Iterable[Path]) -> None:
        left, fresh = sorted(gone), sorted(new)
        with self._lock:
            if left:
                self._index.remove(left)
            for at in range(0, len(fresh), AT_ONCE):
                entries = make_entries(fresh[at : at + AT_ONCE])
                self._add(entries, SPOOL, self._index.read_to(SPOOL))

    def _add(self, entries: Sequence[Entry], source: str, number: int) -> None:
        """What the index cannot hold is left out and named in the log: the others of its batch are there all the same,
        and those after it are come to."""
        try:
            self._index.add(entries, source, number)
        except UNFIT:
            before = self._index.read_to(source)
            for entry in entries:
                try:
                    self._index.add([entry], source, before)
                except UNFIT as error:
                    log.warning("%s is not indexed (%s)", entry.path.name, type(error).__name__)
            self._index.add([], source, number)


def make_entries(paths: Iterable[Path]) -> Sequence[Entry]:
    """What the files say of themselves; those that are gone, or cannot be read, are left out and named in the log."""
    entries = []
    for path in paths:
        with suppress(FileNotFoundError):
            try:
                entries.append(_make_entry(path))
            except CannotUnderstand as error:
                log.warning("%s is not indexed: %s", path.name, error)
    return entries


def _make_entry(path: Path) -> Entry:
    header = read_header(path)
    syntax = str(find_value(header.file_meta, "TransferSyntaxUID") or IMPLICIT)
    return Entry(path, syntax, path.stat().st_mtime, to_json(header, encapsulated=UID(syntax).is_compressed))
