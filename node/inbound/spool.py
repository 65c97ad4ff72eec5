"""The spool: every instance a peer sent, as it came, under a name made from its content.

    incoming/            half-written files; swept at start
    kept/ab/abcd...dcm   one file per content; the name is its digest
    quarantine/          what was refused but must not be lost

A file in kept/ or quarantine/ is whole: it was written in incoming/, synced, renamed, and its directory synced.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from node.durable import place_file, sync_directory

CHUNK = 1 << 20


class Spool:
    """The folders of one spool, made on construction."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.incoming = root / "incoming"
        self.kept = root / "kept"
        self.quarantine = root / "quarantine"
        for folder in (self.incoming, self.quarantine, *(self.kept / f"{n:02x}" for n in range(256))):
            folder.mkdir(parents=True, exist_ok=True)
        for folder in (self.kept, root, root.parent):
            sync_directory(folder)

    def new_file(self) -> Path:
        """A name in incoming/ for bytes to come."""
        return self.incoming / f"{uuid4().hex}.part"

    def keep(self, part: Path, digest: str) -> str:
        """Moves `part` under its final name; returns that name relative to the spool. Idempotent."""
        name = f"kept/{digest[:2]}/{digest}.dcm"
        place_file(part, self.root / name)
        return name

    def set_aside(self, part: Path) -> str:
        """Moves `part` to quarantine; returns its name relative to the spool."""
        name = f"quarantine/{uuid4().hex}.bin"
        place_file(part, self.root / name)
        return name

    def find_kept(self) -> Iterator[str]:
        """Names of all kept files, relative to the spool."""
        for folder in sorted(self.kept.iterdir()):
            with os.scandir(folder) as entries:
                for entry in entries:
                    yield f"kept/{folder.name}/{entry.name}"

    def sweep(self, older_than: float) -> int:
        """Removes half-written files last touched before `older_than` (epoch): nobody was told they are kept."""
        removed = 0
        for part in self.incoming.iterdir():
            if part.stat().st_mtime < older_than:
                part.unlink(missing_ok=True)
                removed += 1
        return removed

    def free_mb(self) -> float:
        """Free space of the spool's file system in MB."""
        return shutil.disk_usage(self.root).free / 1e6


def digest_dataset(path: Path, offset: int, transfer_syntax_uid: str) -> str:
    """sha256 (hex) over the transfer syntax and the bytes of `path` from `offset`: the dataset as it was sent,
    without the File Meta Information that differs from sender to sender."""
    digest = hashlib.sha256(transfer_syntax_uid.encode("ascii") + b"\0")
    with path.open("rb") as file:
        file.seek(offset)
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
