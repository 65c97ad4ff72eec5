"""One SQLite file that many processes share: WAL, every commit synced, writers wait for each other."""

import time
from pathlib import Path
from sqlite3 import OperationalError
from typing import Any

from sqlalchemy import Engine, MetaData, create_engine, event, inspect, make_url
from sqlalchemy.schema import CreateColumn

from node.ledger import tables as t

PATIENCE = 30
"""Seconds for which one writer waits for another."""


def open_engine(url: str, metadata: MetaData = t.metadata) -> Engine:
    """An engine on `url` with the tables of `metadata` made.

    SQLite: WAL and synchronous FULL, so that a commit survives power loss; transactions start IMMEDIATE, so that a read
    never has to be upgraded to a write that deadlocks.
    """
    parsed = make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    if sqlite:
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin_immediate)
    metadata.create_all(engine)
    _add_columns(engine, metadata)
    return engine


def _add_columns(engine: Engine, metadata: MetaData) -> None:
    """A ledger that an older version made gets the columns that came since, filled with their default."""
    for table in metadata.sorted_tables:
        present = {column["name"] for column in inspect(engine).get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                with engine.begin() as db:
                    db.exec_driver_sql(
                        f"ALTER TABLE {table.name} ADD COLUMN {CreateColumn(column).compile(dialect=engine.dialect)}"
                    )


def _configure(connection: Any, _record: Any) -> None:
    connection.isolation_level = None
    connection.execute(f"PRAGMA busy_timeout={PATIENCE * 1000}")
    _enter_wal(connection)
    connection.execute("PRAGMA synchronous=FULL")


def _enter_wal(connection: Any) -> None:
    """Where two make a new file at once, SQLite refuses one of them this step without waiting."""
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except OperationalError:
            if time.monotonic() > give_up:
                raise
            time.sleep(0.01)


def _begin_immediate(connection: Any) -> None:
    deferred = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")
