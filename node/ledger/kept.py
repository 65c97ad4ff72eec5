"""Which kept files the ledger knows: their names and its rows side by side, both in order.

Memory holds neither: there are as many as ever came.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, select

from node.ledger import tables as t

CHUNK = 1000
"""Rows fetched at once."""


def find_unknown(db: Connection, paths: Iterable[str]) -> list[str]:
    """See Ledger.find_unknown."""
    column = t.instance.c.path
    rows = db.execution_options(yield_per=CHUNK).execute(select(column).order_by(column)).scalars()
    unknown, known = list[str](), next(rows, None)
    for path in paths:
        while known is not None and known < path:
            known = next(rows, None)
        if path != known:
            unknown.append(path)
    return unknown
