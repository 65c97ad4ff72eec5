"""The spool: every instance a peer sent, as it came, under a name made from its content.

    incoming/            half-written files; swept at start
    kept/ab/abcd...dcm   one file per content; the name is its digest
    quarantine/          what was refused but must not be lost
    trash/               what retention took, until it is sure that nobody sent it again meanwhile

A file in kept/ that the ledger knows is whole and synced, and is never written again. One that it does not know may be
what a power cut left of it: its name tells (`Receiver.reindex`).
"""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Lock
from uuid import uuid4

from xxhash import xxh3_128

from node.dicom.identity import read_syntax
from node.durable import place_file, sync_directory
from node.errors import OutOfResources
from node.inbound.rename import rename_new

CHUNK = 1 << 20
LOOK_AGAIN = 0.1
"""Seconds for which a look at the free space counts."""


class Spool:
    """The folders of one spool, made on construction. min_free_mb: see `check_space`."""

    def __init__(self, root: Path, min_free_mb: float = 0.0) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self.kept = root / "kept"
        self.quarantine = root / "quarantine"
        self.trash = root / "trash"
        self._min_free_mb = min_free_mb
        self._looked_at, self._free = -LOOK_AGAIN, 0.0
        self._folders: dict[str, int] = {}
        self._lock = Lock()
        self._prefix, self._numbers = f"{self.incoming}/{uuid4().hex}-", count()
        for folder in (self.incoming, self.quarantine, self.trash, *(self.kept / f"{n:02x}" for n in range(256))):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.kept, root, root.parent):
            sync_directory(folder)

    def new_file(self) -> str:
        """A name in incoming/ for bytes to come."""
        return f"{self._prefix}{next(self._numbers)}.part"

    def keep(self, part: str, fd: int, digest: str) -> str:
        """Moves `part`, open as `fd`, under its final name and syncs both; returns that name relative to the spool.

        The name is given before the sync, so that one commit of the file system's journal covers content and name. A
        file that is there already stays, for somebody may have been told that it is kept. Raises FileExistsError when
        its content is another.
        """
        name = name_kept(digest)
        target = f"{self.root}/{name}"
        try:
            rename_new(part, target)
        except FileExistsError:
            if not is_same_dataset(Path(part), Path(target)):
                raise
            with open(target, "rb") as there:  # noqa: PTH123  a Path for each of a thousand images a second costs
                os.fsync(there.fileno())
            os.unlink(part)  # noqa: PTH108
        else:
            self._sync_new(fd, target)
        os.fsync(self._find_folder(digest[:2]))
        return name

    @staticmethod
    def _sync_new(fd: int, target: str) -> None:
        """A file that cannot be synced must not be found whole in memory when it is sent again."""
        try:
            os.fsync(fd)
        except OSError:
            os.unlink(target)  # noqa: PTH108
            raise

    def _find_folder(self, name: str) -> int:
        """A descriptor of kept/`name`, open as long as this spool."""
        with self._lock:
            if name not in self._folders:
                self._folders[name] = os.open(self.kept / name, os.O_RDONLY | os.O_DIRECTORY)
            return self._folders[name]

    def set_aside(self, part: Path) -> str:
        """Moves `part` to quarantine; returns its name relative to the spool."""
        name = f"quarantine/{uuid4().hex}.bin"
        place_file(part, self.root / name)
        return name

    def find_kept(self) -> Iterator[str]:
        """Names of all kept files, relative to the spool, in order."""
        for folder in sorted(self.kept.iterdir()):
            with os.scandir(folder) as entries:
                names = sorted(entry.name for entry in entries)
            for name in names:
                yield f"kept/{folder.name}/{name}"

    def throw_away(self, name: str) -> None:
        """Moves the kept file `name` to trash/; nothing when it is not there."""
        with suppress(FileNotFoundError):
            (self.root / name).rename(self.trash / Path(name).name)

    def find_trash(self, older_than: float) -> list[str]:
        """The names under which the files in trash/ were kept, of those thrown away before `older_than` (epoch)."""
        with os.scandir(self.trash) as entries:
            old = [entry.name for entry in entries if entry.stat().st_ctime < older_than]
        return [name_kept(name.removesuffix(".dcm")) for name in old]

    def count_trash(self) -> int:
        """Bytes in trash/."""
        with os.scandir(self.trash) as entries:
            return sum(entry.stat().st_size for entry in entries)

    def bring_back(self, name: str) -> None:
        """Gives a file in trash/ its name again, unless the same content came again meanwhile."""
        thrown = self.trash / Path(name).name
        try:
            rename_new(str(thrown), f"{self.root}/{name}")
            sync_directory((self.root / name).parent)
        except FileExistsError:
            thrown.unlink()

    def empty(self, name: str) -> None:
        """Removes a file in trash/ for good."""
        (self.trash / Path(name).name).unlink(missing_ok=True)

    def sweep(self, older_than: float) -> int:
        """Removes half-written files last touched before `older_than` (epoch): nobody was told they are kept."""
        removed = 0
        for part in self.incoming.iterdir():
            with suppress(FileNotFoundError):
                if part.stat().st_mtime < older_than:
                    part.unlink()
                    removed += 1
        return removed

    def free_mb(self) -> float:
        """Free space of the spool's file system in MB."""
        return shutil.disk_usage(self.root).free / 1e6

    def spend(self, count: int) -> None:
        """`count` bytes were written since the last look at the free space."""
        self._free -= count / 1e6

    def check_space(self) -> None:
        """Raises OutOfResources below `min_free_mb`, as it was at most LOOK_AGAIN ago, less what was written since."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_AGAIN:
            self._free, self._looked_at = self.free_mb(), now
        free = max(self._free, 0.0)
        if free < self._min_free_mb:
            text = f"{free:.0f} MB free in the spool, listen.min_free_mb is {self._min_free_mb:.0f}"
            raise OutOfResources(text)

    def close(self) -> None:
        """Gives the folders' descriptors back."""
        with self._lock:
            while self._folders:
                os.close(self._folders.popitem()[1])


def new_digest(transfer_syntax_uid: str) -> xxh3_128:
    """XXH3, 128 bits, over the transfer syntax and, to be added, the bytes of the dataset as sent, without the File
    Meta Information that differs from sender to sender. Its hexdigest has 32 characters.

    It tells what differs and what is damaged. Since somebody could make two contents with one digest, nothing counts
    as the same before its bytes were compared."""
    return xxh3_128(transfer_syntax_uid.encode("ascii") + b"\0")


def name_kept(digest: str) -> str:
    """Where a content is kept, relative to the spool."""
    return f"kept/{digest[:2]}/{digest}.dcm"


def is_same_dataset(one: Path, other: Path) -> bool:
    """True when two Part 10 files hold the same dataset in the same transfer syntax, byte for byte."""
    (syntax, at), (other_syntax, other_at) = read_syntax(one), read_syntax(other)
    if syntax != other_syntax or one.stat().st_size - at != other.stat().st_size - other_at:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        first.seek(at)
        second.seek(other_at)
        while chunk := first.read(CHUNK):
            if chunk != second.read(CHUNK):
                return False
    return True


def digest_dataset(path: Path, offset: int, transfer_syntax_uid: str) -> str:
    """`new_digest` of the bytes of `path` from `offset`."""
    digest = new_digest(transfer_syntax_uid)
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
