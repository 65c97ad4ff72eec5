"""The orders that we were told: `home/orders.sqlite`, a file of their own.

An order names people: who referred, for what reason, whose accession number. The ledger must name nobody (it is copied
into support cases, and its rows stay when images go), so orders never lie there. This file is readable by its owner
alone, can be deleted at any time (results then carry no order), and each order goes when the images of its time go.
A commit waits for the disk: whoever sent an order was told that it is kept.
"""

import json
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from node.model.job import Priority
from node.model.order import Order
from pipelines.terms import Code

SCHEMA = """
CREATE TABLE IF NOT EXISTS orders (source TEXT NOT NULL, accession_number TEXT NOT NULL, issuer TEXT NOT NULL,
    requested_procedure_id TEXT NOT NULL, study_uid TEXT NOT NULL, at REAL NOT NULL, fields TEXT NOT NULL,
    PRIMARY KEY (source, accession_number, issuer, requested_procedure_id, study_uid)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answered (job_id TEXT PRIMARY KEY, at REAL NOT NULL, fields TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS followed (job_id TEXT PRIMARY KEY, priority TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS order_by_accession ON orders (accession_number);
CREATE INDEX IF NOT EXISTS order_by_study ON orders (study_uid);
CREATE INDEX IF NOT EXISTS order_by_age ON orders (at);
CREATE TABLE IF NOT EXISTS merged (id TEXT PRIMARY KEY, survivor TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS merged_by_survivor ON merged (survivor);
CREATE TABLE IF NOT EXISTS patients (id TEXT PRIMARY KEY, name TEXT NOT NULL, birth_date TEXT NOT NULL,
    sex TEXT NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
"""


class OrderBook:
    """The orders in the file at `path`, made when there is none. For many threads and processes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._local = threading.local()
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._write() as db:
            for statement in SCHEMA.split(";"):
                db.execute(statement)

    def keep(self, order: Order) -> None:
        """Kept when this returns. The same procedure of the same source replaces what was said of it before, unless
        that is newer."""
        key = (order.source, order.accession_number, order.issuer, order.requested_procedure_id, order.study_uid)
        with self._write() as db:
            db.execute(
                "INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at,"
                " fields = excluded.fields WHERE excluded.at >= orders.at",
                (*key, order.at, _dump(order)),
            )

    def find(self, accession_number: str = "", study_uid: str = "") -> Order | None:
        """The order of a study. The one that names its uid goes before one that shares its accession number alone, and
        of those one that names no other study; of equals the one that was told last."""
        row = self._connection.execute(
            "SELECT fields FROM orders WHERE (:study != '' AND study_uid = :study)"
            " OR (:number != '' AND accession_number = :number)"
            " ORDER BY :study != '' AND study_uid = :study DESC, study_uid = '' DESC, at DESC LIMIT 1",
            {"study": study_uid, "number": accession_number},
        ).fetchone()
        return _load(row[0]) if row else None

    def keep_news(self, order: Order) -> bool:
        """The same, but where its source said all of that before, which stays as old as it is: False then."""
        key = (order.source, order.accession_number, order.issuer, order.requested_procedure_id, order.study_uid)
        row = self._connection.execute(
            "SELECT fields FROM orders WHERE source = ? AND accession_number = ? AND issuer = ?"
            " AND requested_procedure_id = ? AND study_uid = ?",
            key,
        ).fetchone()
        if row is not None and replace(_load(row[0]), at=order.at) == order:
            return False
        self.keep(order)
        return True

    def assign(self, job_id: str, order: Order | None, at: float) -> None:
        """What the job answers, as it is now (epoch seconds): a rerun of it says the same, whatever is told later."""
        with self._write() as db:
            db.execute("DELETE FROM answered WHERE job_id = ?", (job_id,))
            if order is not None:
                db.execute("INSERT INTO answered VALUES (?, ?, ?)", (job_id, at, _dump(order)))

    def find_assigned(self, job_id: str) -> Order | None:
        """The order that a job answers."""
        row = self._connection.execute("SELECT fields FROM answered WHERE job_id = ?", (job_id,)).fetchone()
        return _load(row[0]) if row else None

    def find_since(self, at: float) -> list[Order]:
        """What was told at that time (epoch seconds) or later, oldest first."""
        rows = self._connection.execute("SELECT fields FROM orders WHERE at >= ? ORDER BY at", (at,))
        return [_load(row[0]) for row in rows]

    def find_followed(self, job_id: str) -> Priority | None:
        """The priority that an order last gave the job, when it was made or since; None where none did."""
        row = self._connection.execute("SELECT priority FROM followed WHERE job_id = ?", (job_id,)).fetchone()
        order = None if row else self.find_assigned(job_id)
        return Priority(row[0]) if row else order.priority if order else None

    def note_followed(self, job_id: str, priority: Priority, at: float) -> None:
        """The job has the priority that its order has by now."""
        with self._write() as db:
            db.execute("INSERT OR REPLACE INTO followed VALUES (?, ?, ?)", (job_id, priority, at))

    def forget(self, before: float) -> int:
        """Removes the orders that were told or assigned before then (epoch seconds); how many were told."""
        with self._write() as db:
            db.execute("DELETE FROM followed WHERE at < ?", (before,))
            db.execute("DELETE FROM answered WHERE at < ?", (before,))
            return db.execute("DELETE FROM orders WHERE at < ?", (before,)).rowcount

    @property
    def _connection(self) -> sqlite3.Connection:
        """That of this thread."""
        db: sqlite3.Connection | None = getattr(self._local, "db", None)
        if db is None:
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            db = sqlite3.connect(self._path, timeout=30.0, isolation_level=None, check_same_thread=False)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "secure_delete=ON"):
                db.execute(f"PRAGMA {pragma}")
            self._local.db = db
        return db

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        db = self._connection
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def _dump(order: Order) -> str:
    return json.dumps(asdict(order), ensure_ascii=False)


def _load(text: str) -> Order:
    fields: dict[str, Any] = json.loads(text)
    code, priority = fields["procedure_code"], fields["priority"]
    fields["procedure_code"] = Code(**code) if code else None
    fields["priority"] = Priority(priority) if priority else None
    return Order(**fields)
