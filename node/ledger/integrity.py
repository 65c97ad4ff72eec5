"""Is the ledger's file whole? And a copy of it, taken while the node runs.

SQLite answers from the pages that it happens to read: a damaged one may lie unseen for weeks, and what is written
meanwhile is built on it. So every page is looked at when the node starts. PostgreSQL looks after its own.
"""

import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from sqlalchemy import make_url

from node.durable import place_file
from node.errors import DamagedLedger

ADVICE = (
    "Stop the node and set the file aside with those that begin with its name; then put a copy in its place (`wetread "
    "backup` makes them), or start without one: the images are read again from the spool, and each study runs again"
)


def find_damage(url: str) -> str:
    """What SQLite finds wrong with the file of `url`, "" when that is nothing, there is none, or it is no SQLite."""
    path = _find_file(url)
    return _find_damage(path) if path is not None and path.exists() else ""


def _find_damage(path: Path) -> str:
    try:
        with closing(_open(path)) as db:
            rows = [str(row[0]) for row in db.execute("PRAGMA quick_check(1)")]
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if rows == ["ok"] else rows[0].splitlines()[-1]


def check_ledger(url: str) -> None:
    """Raises DamagedLedger, with what to do, unless every page of the ledger is sound."""
    damage = find_damage(url)
    if damage:
        raise DamagedLedger(f"{_find_file(url)} is damaged: {damage}. {ADVICE}")


def copy_ledger(url: str, target: Path) -> Path:
    """Writes the ledger as it is at one moment to `target`; see `copy_database`. Raises ValueError for a ledger that is
    no SQLite file."""
    path = _find_file(url)
    if path is None:
        raise ValueError("only a SQLite ledger is copied here; PostgreSQL has pg_dump")
    check_ledger(url)
    return copy_database(path, target)


def copy_database(path: Path, target: Path) -> Path:
    """Writes the SQLite file at `path` as it is at one moment to `target`, which is whole or not there and readable by
    its owner alone; others go on writing. Returns `target`. Raises DamagedLedger and OSError."""
    if damage := _find_damage(path):
        raise DamagedLedger(f"{path} is damaged: {damage}. It is not copied; an earlier copy is left as it is")
    part = target.with_name(f".{target.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a copy that was killed
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with closing(_open(path)) as db, closing(sqlite3.connect(part)) as copy:
            db.backup(copy)
            copy.execute("PRAGMA journal_mode=DELETE")  # one file, that needs none beside it
        place_file(part, target)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    return target


def _find_file(url: str) -> Path | None:
    parsed = make_url(url)
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


def _open(path: Path) -> sqlite3.Connection:
    """As it is: a file that is not there is not made."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30)
