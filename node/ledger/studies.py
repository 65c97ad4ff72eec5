"""Rows of studies, as every part of the ledger reads them."""

from typing import Any

from sqlalchemy import Row

from node.model.study import Study, StudyState


def to_study(row: Row[Any]) -> Study:
    """A row of the table as a Study."""
    return Study(**dict(row._mapping) | {"state": StudyState(row.state)})
