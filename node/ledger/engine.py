"""One SQLite file that many processes share: WAL, every commit synced, writers wait for each other."""

from pathlib import Path
from typing import Any

from sqlalchemy import Engine, create_engine, event, inspect, make_url
from sqlalchemy.schema import CreateColumn

from node.ledger.tables import metadata


def open_engine(url: str) -> Engine:
    """An engine on `url` with its tables made. SQLite: WAL and synchronous FULL, so that a commit survives power loss;
    transactions start IMMEDIATE, so that a read never has to be upgraded to a write that deadlocks."""
    parsed = make_url(url)
    sqlite = parsed.get_backend_name() == "sqlite"
    if sqlite and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed)
    if sqlite:
        event.listen(engine, "connect", _configure)
        event.listen(engine, "begin", _begin_immediate)
    metadata.create_all(engine)
    _add_columns(engine)
    return engine


def _add_columns(engine: Engine) -> None:
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
    for pragma in ("busy_timeout=30000", "journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Any) -> None:
    deferred = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if deferred else "BEGIN IMMEDIATE")
