"""What the node holds, by study, series and instance with their attributes: `home/web.sqlite`, made from the files.

It can be thrown away: it is made again. Unlike the ledger it holds attributes of patients, so only its owner may read
it, as the files that they come from.
"""

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from node.dicom.header import DAMAGE
from node.dicom.matching import Match
from node.dicom.model_values import Model, find_values
from node.web.dicomweb.attributes import (
    ALWAYS,
    COLUMNS,
    COMPUTED,
    OF_ROW,
    Level,
    find_columns,
    pick,
)

VERSION = 1
"""Of the tables; an index of another version is made anew."""

TABLES = {Level.STUDY: "study", Level.SERIES: "series", Level.INSTANCE: "instance"}
KEYS = {Level.STUDY: "study_uid", Level.SERIES: "series_uid", Level.INSTANCE: "sop_instance_uid"}

UNFIT = (*DAMAGE, sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, sqlite3.ProgrammingError)
"""What `Index.add` raises of an entry that no table can hold; a disk that is full or fails raises something else."""


def _columns(level: Level) -> str:
    names = [name for path, name in COLUMNS[level].items() if path not in COMPUTED and name != KEYS[level]]
    return ", ".join(f"{name} TEXT NOT NULL DEFAULT ''" for name in names)


SCHEMA = f"""
CREATE TABLE study (study_uid TEXT PRIMARY KEY, {_columns(Level.STUDY)}, modalities TEXT NOT NULL DEFAULT '',
    classes TEXT NOT NULL DEFAULT '', series INTEGER NOT NULL DEFAULT 0, instances INTEGER NOT NULL DEFAULT 0,
    brief TEXT NOT NULL, attributes TEXT NOT NULL);
CREATE INDEX study_by_date ON study (study_date DESC, study_time DESC, study_uid);
CREATE INDEX study_by_patient ON study (patient_id);
CREATE INDEX study_by_accession ON study (accession_number);
CREATE TABLE series (study_uid TEXT NOT NULL, series_uid TEXT NOT NULL, {_columns(Level.SERIES)},
    instances INTEGER NOT NULL DEFAULT 0, brief TEXT NOT NULL, attributes TEXT NOT NULL,
    PRIMARY KEY (study_uid, series_uid)) WITHOUT ROWID;
CREATE INDEX series_by_uid ON series (series_uid);
CREATE TABLE instance (sop_instance_uid TEXT PRIMARY KEY, study_uid TEXT NOT NULL, series_uid TEXT NOT NULL,
    {_columns(Level.INSTANCE)}, position INTEGER NOT NULL, syntax TEXT NOT NULL, path TEXT NOT NULL,
    made_at REAL NOT NULL, brief TEXT NOT NULL, model BLOB NOT NULL);
CREATE INDEX instance_by_series ON instance (study_uid, series_uid, position);
CREATE TABLE read_to (source TEXT PRIMARY KEY, number INTEGER NOT NULL);
PRAGMA user_version = {VERSION};
"""


BY_PATH = "CREATE INDEX IF NOT EXISTS instance_by_path ON instance (path, made_at, study_uid)"
"""Holds all that a comparison with the ledger asks for: it reads no row, whose attributes are long. An index of before
gets it when it is opened."""


@dataclass(frozen=True, slots=True)
class Held:
    """One instance, in which transfer syntax, and where its file is."""

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    syntax: str
    path: Path

    @property
    def address(self) -> str:
        """Relative to the service (PS3.18 table 10.1-1)."""
        return f"studies/{self.study_uid}/series/{self.series_uid}/instances/{self.sop_instance_uid}"


@dataclass(frozen=True, slots=True)
class Entry:
    """An instance to be indexed. made_at: change time of its file; model: all its attributes, as DICOM JSON."""

    path: Path
    syntax: str
    made_at: float
    model: bytes


class Index:
    """The index in the file at `place`, made when there is none. For many threads, each with a connection."""

    def __init__(self, place: Path) -> None:
        self._place = place
        self._local = threading.local()
        place.parent.mkdir(parents=True, exist_ok=True)
        with self._write() as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version != VERSION:
                self._make_anew(db)
            db.execute(BY_PATH)

    def read_to(self, source: str) -> int:
        """Up to which number of the ledger `source` was read."""
        row = self.connection.execute("SELECT number FROM read_to WHERE source = ?", (source,)).fetchone()
        return int(row[0]) if row else 0

    def add(self, entries: Sequence[Entry], source: str, number: int) -> None:
        """Indexes `entries` and remembers that `source` was read up to `number`, in one step. Raises UNFIT, and
        changes nothing, when one of them cannot be held."""
        with self._write() as db:
            touched = {_add(db, entry) for entry in entries}
            _count(db, touched)
            db.execute("INSERT OR REPLACE INTO read_to VALUES (?, ?)", (source, number))

    def remove(self, paths: Sequence[Path]) -> None:
        """Forgets the instances in those files, and the series and studies that nothing is left of."""
        with self._write() as db:
            touched = set()
            for path in paths:
                rows = db.execute("DELETE FROM instance WHERE path = ? RETURNING study_uid, series_uid", (str(path),))
                touched |= {(row[0], row[1]) for row in rows.fetchall()}
            _count(db, touched)

    def find_held(self, study: str, series: str = "", instance: str = "") -> list[Held]:
        """Of a study, of one of its series, or one instance; by series, then Instance Number."""
        where, parameters = _where_held(study, series, instance)
        columns = "study_uid, series_uid, sop_instance_uid, sop_class_uid, syntax, path"
        order = "study_uid, series_uid, position, sop_instance_uid"
        query = f"SELECT {columns} FROM instance WHERE {where} ORDER BY {order}"  # noqa: S608  names of our own
        rows = self.connection.execute(query, parameters)
        return [Held(row[0], row[1], row[2], row[3], row[4], Path(row[5])) for row in rows]

    def read_models(self, uids: Sequence[str]) -> dict[str, bytes]:
        """SOP Instance UID -> DICOM JSON."""
        marks = ", ".join("?" * len(uids))
        query = f"SELECT sop_instance_uid, model FROM instance WHERE sop_instance_uid IN ({marks})"  # noqa: S608
        return {row[0]: zlib.decompress(row[1]) for row in self.connection.execute(query, list(uids))}

    def count_under(self, folder: Path) -> dict[str, int]:
        """Study Instance UID -> number of its instances whose files lie under `folder`."""
        query = "SELECT study_uid, count(*) FROM instance WHERE path > ? AND path < ? GROUP BY study_uid"
        return {row[0]: row[1] for row in self.connection.execute(query, _find_ends(folder))}

    def find_under(self, folder: Path, study: str) -> set[Path]:
        """The files under `folder` of a study."""
        query = "SELECT path FROM instance WHERE study_uid = ? AND path > ? AND path < ?"
        return {Path(row[0]) for row in self.connection.execute(query, (study, *_find_ends(folder)))}

    def find_page(self, folder: Path, after: str, limit: int) -> list[tuple[str, float]]:
        """(file, its change time when it was indexed) of at most `limit` files under `folder`, in order, those that
        come behind the file `after`; "" for the first."""
        query = "SELECT path, made_at FROM instance WHERE path > ? AND path < ? ORDER BY path LIMIT ?"
        begin, end = _find_ends(folder)
        return [(row[0], row[1]) for row in self.connection.execute(query, (max(begin, after), end, limit))]

    def search(self, sql: str, parameters: Sequence[Any], others: Sequence[Match]) -> Iterator[sqlite3.Row]:
        """Rows of a query that may call fits(n, attributes) to ask the n-th of `others`."""
        db = self.connection
        db.create_function("fits", 2, lambda n, text: others[n].fits(load_model(text)), deterministic=True)
        yield from db.execute(sql, parameters)

    @property
    def connection(self) -> sqlite3.Connection:
        """That of this thread."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            os.close(os.open(self._place, os.O_CREAT | os.O_RDWR, 0o600))
            db = sqlite3.connect(self._place, timeout=30.0, isolation_level=None, check_same_thread=False)
            db.row_factory = sqlite3.Row
            # What a power cut takes is read from the files again: no commit waits for the disk. Pages are read where
            # they are mapped; each thread has a cache of its own beside.
            for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "cache_size=-4096", "mmap_size=1073741824"):
                db.execute(f"PRAGMA {pragma}")
            self._local.db = db
        return db

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        db = self.connection
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def _make_anew(self, db: sqlite3.Connection) -> None:
        tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for statement in (*(f"DROP TABLE {name}" for name in tables), *SCHEMA.split(";")):
            if statement.strip():
                db.execute(statement)


def dump_model(model: Model) -> str:
    """DICOM JSON as text, as short as it may be."""
    return json.dumps(model, ensure_ascii=False, separators=(",", ":"))


def _shorten(model: Model, level: Level) -> str:
    """What every answer says of `level`, without the braces around."""
    return dump_model({tag: model[tag] for tag in ALWAYS[level] if tag in model and tag not in OF_ROW})[1:-1]


def _find_ends(folder: Path) -> tuple[str, str]:
    """Between these lie the paths of all that is under `folder`, however deep: "0" is the letter after "/"."""
    return f"{folder}/", f"{folder}0"


def load_model(stored: str | bytes) -> Model:
    """Attributes as they are stored: text, or compressed."""
    model: Model = json.loads(zlib.decompress(stored) if isinstance(stored, bytes) else stored)
    return model


def _where_held(study: str, series: str, instance: str) -> tuple[str, list[str]]:
    given = [("study_uid", study), ("series_uid", series), ("sop_instance_uid", instance)]
    return " AND ".join(f"{name} = ?" for name, uid in given if uid), [uid for _, uid in given if uid]


def _add(db: sqlite3.Connection, entry: Entry) -> tuple[str, str]:
    """(study, series) that it belongs to."""
    model: Model = json.loads(entry.model)
    study, series = (str(find_values(model, [tag])[0]) for tag in ("0020000D", "0020000E"))
    values = find_columns(model, Level.INSTANCE)
    position = _read_position(values["instance_number"])
    row: dict[str, Any] = {**values, "study_uid": study, "series_uid": series, "position": position}
    row |= {"syntax": entry.syntax, "path": str(entry.path), "made_at": entry.made_at}
    row["brief"] = _shorten(model, Level.INSTANCE)
    _insert(db, "instance", row | {"model": zlib.compress(entry.model, 1)}, "REPLACE")
    for level, key in ((Level.STUDY, {"study_uid": study}), (Level.SERIES, {"study_uid": study, "series_uid": series})):
        where = " AND ".join(f"{name} = ?" for name in key)
        if not db.execute(f"SELECT 1 FROM {TABLES[level]} WHERE {where}", list(key.values())).fetchone():  # noqa: S608
            texts = {"brief": _shorten(model, level), "attributes": dump_model(pick(model, level))}
            _insert(db, TABLES[level], {**find_columns(model, level), **key, **texts}, "IGNORE")
    return study, series


def _read_position(number: str) -> int:
    """Instance Number as a column can hold it; 0 for what is no integer, or none of 64 bits."""
    try:
        position = int(number)
    except ValueError:
        return 0
    return position if -(2**63) <= position < 2**63 else 0


def _insert(db: sqlite3.Connection, table: str, row: dict[str, Any], otherwise: str) -> None:
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    db.execute(f"INSERT OR {otherwise} INTO {table} ({names}) VALUES ({marks})", list(row.values()))  # noqa: S608


def _count(db: sqlite3.Connection, touched: set[tuple[str, str]]) -> None:
    """What the tables say of their children, made true again; what has none goes."""
    for pair in touched:
        db.execute(
            "UPDATE series SET instances = (SELECT count(*) FROM instance AS i WHERE i.study_uid = series.study_uid"
            " AND i.series_uid = series.series_uid) WHERE study_uid = ? AND series_uid = ?",
            pair,
        )
        db.execute("DELETE FROM series WHERE study_uid = ? AND series_uid = ? AND instances = 0", pair)
    for study in {study for study, _ in touched}:
        of_series = "SELECT DISTINCT modality FROM series WHERE study_uid = ? AND modality != '' ORDER BY modality"
        of_instances = "SELECT DISTINCT sop_class_uid FROM instance WHERE study_uid = ? ORDER BY sop_class_uid"
        gathered = [_join(db, query, study) for query in (of_series, of_instances)]
        db.execute(
            "UPDATE study SET modalities = ?, classes = ?, series = (SELECT count(*) FROM series WHERE study_uid = ?),"
            " instances = (SELECT coalesce(sum(instances), 0) FROM series WHERE study_uid = ?) WHERE study_uid = ?",
            (*gathered, study, study, study),
        )
        db.execute("DELETE FROM study WHERE study_uid = ? AND instances = 0", (study,))


def _join(db: sqlite3.Connection, query: str, study: str) -> str:
    values = [row[0] for row in db.execute(query, (study,))]
    return "\\" + "\\".join(values) + "\\" if values else ""
