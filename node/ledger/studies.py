"""Rows of studies, as every part of the ledger reads them."""

from typing import Any

from sqlalchemy import Row

from node.model.study import Study, StudyState


def to_study(row: Row[Any]) -> Study:
    """A row of the table as a Study."""
    values = dict(row._mapping)
    values.pop("patient")
    return Study(**values | {"state": StudyState(row.state)})
