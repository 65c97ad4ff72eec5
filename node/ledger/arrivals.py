"""What is new in the ledger, in the order in which it came: for a reader that keeps an index of its own.

A row's number is SQLite's own (rowid): it grows with every row that is added, and needs no column.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Row, Table, exists, func, literal_column, select

from node.ledger import tables as t
from node.ledger.deliveries import to_object
from node.model.delivery import ResultObject
from node.model.job import State
from node.model.study import Instance


def find_arrivals(db: Connection, after: int, limit: int) -> list[tuple[int, Instance]]:
    """See Ledger.find_arrivals."""
    number = _number(t.instance)
    query = select(number, t.instance).where(number > after).order_by(number).limit(limit)
    return [(row.number, Instance(**_without_number(row))) for row in db.execute(query)]


def find_new_objects(db: Connection, after: int, limit: int) -> list[tuple[int, ResultObject]]:
    """See Ledger.find_new_objects."""
    o, j, number = t.result_object, t.job, _number(t.result_object)
    other = t.result_object.alias()
    canceled = exists().where((j.c.id == o.c.job_id) & (j.c.state == State.CANCELED))
    substitute = exists().where(other.c.substitute == o.c.sop_instance_uid)
    query = select(number, o).where((number > after) & ~canceled & ~substitute).order_by(number).limit(limit)
    return [(row.number, to_object(row)) for row in db.execute(query)]


def count_present(db: Connection) -> dict[str, int]:
    """See Ledger.count_present."""
    i = t.instance
    query = select(i.c.study_uid, func.count().label("held")).where(i.c.expired_at.is_(None)).group_by(i.c.study_uid)
    return {row.study_uid: row.held for row in db.execute(query)}


def _number(table: Table) -> ColumnElement[int]:
    return literal_column(f"{table.name}.rowid", Integer).label("number")


def _without_number(row: Row[Any]) -> dict[str, Any]:
    return {name: value for name, value in row._mapping.items() if name != "number"}
