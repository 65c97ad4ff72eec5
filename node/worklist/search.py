"""Which workitems match (PS3.4 CC.2.8, PS3.18 11.9): the most urgent first, then by when they should start."""

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pydicom import Dataset
from sqlalchemy import Connection, Engine, Select, case, select

from node.dicom.matching import Match
from node.errors import WorkitemRefused
from node.model.workitem import StepState, Workitem
from node.worklist import tables as t
from node.worklist.keys import BULKY, fits, make_matches, read_keys, to_condition
from node.worklist.rows import to_workitem

CHUNK = 200
"""Rows fetched at once when some keys have no column."""


class SearchVerbs:
    """The part of `Worklist` that finds."""

    _engine: Engine
    _reader: Engine

    def search(
        self, keys: Dataset | Sequence[Match] | Sequence[tuple[str, str]], limit: int = 100, offset: int = 0
    ) -> list[Workitem]:
        """keys: an identifier, or (path of tags, text) of each, or what `make_matches` made of those. Raises
        WorkitemRefused for a key that cannot be matched so."""
        condition, others = to_condition(_read(keys))
        w = t.workitem
        query = select(w).where(w.c.deleted_at.is_(None)).order_by(w.c.rank, w.c.start, w.c.uid)
        if condition is not None:
            query = query.where(condition)
        with self._reader.connect() as db:
            if others:
                return _look_through(db, query, others, limit, offset)
            page = query.limit(limit).offset(offset)
            if condition is None:  # a late page is found in the index, and only its rows are read
                page = query.where(w.c.uid.in_(page.with_only_columns(w.c.uid)))
            return [to_workitem(row) for row in db.execute(page)]

    def find_in(self, states: Sequence[StepState], after: str = "", limit: int = 1000) -> list[Workitem]:
        """Those in `states` with a uid beyond `after`, by uid."""
        w = t.workitem
        query = select(w).where(w.c.state.in_(states) & w.c.deleted_at.is_(None) & (w.c.uid > after))
        with self._reader.connect() as db:
            return [to_workitem(row) for row in db.execute(query.order_by(w.c.uid).limit(limit))]

    def find_cancel_requests(self) -> list[Workitem]:
        """Those IN PROGRESS that somebody wants canceled."""
        w = t.workitem
        query = select(w).where((w.c.state == StepState.IN_PROGRESS) & w.c.cancel_asked_at.is_not(None))
        with self._reader.connect() as db:
            return [to_workitem(row) for row in db.execute(query)]


def _look_through(
    db: Connection, query: Select[Any], others: Sequence[Match], limit: int, offset: int
) -> list[Workitem]:
    """Of what `query` finds, the page that fits `others`; of the rest of the rows no more is read than that takes."""
    w = t.workitem
    is_bulky = any(match.path[0] in BULKY for match in others)
    said = w.c.model if is_bulky else case((w.c.lean == "", w.c.model), else_=w.c.lean)
    rows = db.execution_options(yield_per=CHUNK).execute(query.with_only_columns(w.c.uid, said.label("said")))
    found = (row.uid for row in rows if fits(others, json.loads(row.said)))
    uids = list(islice(found, offset, offset + limit))
    parts = [uids[at : at + CHUNK] for at in range(0, len(uids), CHUNK)]
    page = {row.uid: row for part in parts for row in db.execute(select(w).where(w.c.uid.in_(part)))}
    return [to_workitem(page[uid]) for uid in uids]


def _read(keys: Dataset | Sequence[Match] | Sequence[tuple[str, str]]) -> list[Match]:
    pairs = read_keys(keys) if isinstance(keys, Dataset) else keys
    try:
        return list(_to_matches(pairs))
    except ValueError as error:
        raise WorkitemRefused(str(error), 0xA900, 400) from None


def _to_matches(pairs: Sequence[Match] | Sequence[tuple[str, str]]) -> Iterator[Match]:
    for pair in pairs:
        if isinstance(pair, Match):
            yield pair
        else:
            yield from make_matches([pair])
