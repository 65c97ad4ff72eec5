"""Jobs and studies a page at a time: as fast with a hundred thousand of them as with ten.

Every order has an index that ends in the row's key; a page begins after a key (`Turn`) and reads no row before it.
"""

from collections.abc import Iterable, Sequence
from json import dumps
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Engine,
    Select,
    String,
    cast,
    func,
    inspect,
    literal_column,
    or_,
    select,
    tuple_,
)
from sqlalchemy.schema import CreateIndex

from node.ledger import tables as t
from node.ledger.chunks import fill_up
from node.ledger.jobs import find_rank, to_job
from node.ledger.studies import to_study
from node.model.job import Job, Priority, State
from node.model.listing import Turn, Waiting, Wanted
from node.model.study import Study, StudyState

NO_JOB = "NO JOB"
"""Asks for closed studies of which no route made a job."""

UNFINISHED = (State.QUEUED, State.CLAIMED)
LAST = "\U0010ffff"
FEW = 1000


class ListingLedger:
    """The verbs of the ledger that show a page."""

    _reader: Engine

    def list_jobs(self, wanted: Wanted, turn: Turn | None, limit: int) -> list[Job]:
        """See Ledger.list_jobs."""
        j = t.job
        query = select(j)
        for column in ("state", "pipeline", "route"):
            if value := getattr(wanted, column):
                query = query.where(j.c[column] == value)
        if wanted.peer:
            named = dumps(wanted.peer)  # as it stands in the JSON of the list
            query = query.where(cast(j.c.deliver, String).contains(named, autoescape=True))
        if wanted.patient:
            of_patient = select(t.study.c.study_uid).where(t.study.c.patient == wanted.patient)
            query = query.where(j.c.study_uid.in_(of_patient))
        with self._reader.connect() as db:
            if wanted.text:
                query = query.where(_begins(db, (j.c.id, j.c.study_uid), wanted.text))
            return [to_job(row) for row in _turn(db, query, (j.c.created_at, j.c.id), turn, limit)]

    def list_studies(self, state: str, text: str, turn: Turn | None, limit: int, patient: str = "") -> list[Study]:
        """See Ledger.list_studies."""
        s = t.study
        query = select(s)
        if state == NO_JOB:
            query = query.where((s.c.state == StudyState.COMPLETE) & (s.c.reason != ""))
        elif state:
            query = query.where(s.c.state == state)
        if patient:
            query = query.where(s.c.patient == patient)
        with self._reader.connect() as db:
            if text:
                query = query.where(_begins(db, (s.c.study_uid,), text))
            rows = _turn(db, query, (s.c.last_at, s.c.study_uid), turn, limit)
            return [to_study(row) for row in rows]

    def count_states(self) -> dict[State, int]:
        """See Ledger.count_states."""
        query = select(t.job.c.state, func.count()).group_by(t.job.c.state)
        with self._reader.connect() as db:
            found = {State(state): int(number) for state, number in db.execute(query)}
        return {state: found.get(state, 0) for state in State}

    def count_waiting(self) -> list[Waiting]:
        """See Ledger.count_waiting."""
        j = t.job
        keys = (j.c.lane, j.c.priority, j.c.state)
        query = select(*keys, func.count().label("number"), func.min(j.c.created_at).label("oldest_at"))
        query = query.where(j.c.state.in_(UNFINISHED)).group_by(*keys).order_by(j.c.lane, find_rank(j), j.c.state)
        with self._reader.connect() as db:
            rows = [dict(row._mapping) for row in db.execute(query)]
        return [Waiting(**r | {"priority": Priority(r["priority"]), "state": State(r["state"])}) for r in rows]

    def list_queue(self, limit: int) -> list[Job]:
        """See Ledger.list_queue."""
        j = t.job
        query = select(j).where(j.c.state == State.QUEUED).order_by(find_rank(j), j.c.created_at, j.c.id).limit(limit)
        with self._reader.connect() as db:
            return [to_job(row) for row in db.execute(query)]

    def find_beginning(self, text: str, limit: int) -> list[Job]:
        """See Ledger.find_beginning."""
        query = select(t.job).where(_within(t.job.c.id, text)).order_by(t.job.c.id).limit(limit)
        with self._reader.connect() as db:
            return [to_job(row) for row in db.execute(query)]

    def find_named(self, job_ids: Iterable[str]) -> dict[str, Job]:
        """See Ledger.find_named."""
        wanted = {job_id for job_id in job_ids if job_id}
        if not wanted:
            return {}
        with self._reader.connect() as db:
            return {row.id: to_job(row) for row in db.execute(select(t.job).where(t.job.c.id.in_(fill_up(wanted))))}


def add_indexes(engine: Engine) -> None:
    """A ledger that an older version made gets the indexes that came since."""
    for table in (t.job, t.study):
        present = {index["name"] for index in inspect(engine).get_indexes(table.name)}
        for index in table.indexes:
            if index.name not in present:
                with engine.begin() as db:
                    db.execute(CreateIndex(index, if_not_exists=True))


def _turn(
    db: Connection, query: Select[Any], keys: tuple[Column[Any], Column[Any]], turn: Turn | None, limit: int
) -> list[Any]:
    """Newest first, from where the page begins."""
    key = tuple_(*keys)
    if turn is None or not turn.newer:
        if turn is not None:
            query = query.where(key < (turn.at, turn.key))
        return list(db.execute(query.order_by(*(one.desc() for one in keys)).limit(limit)))
    query = query.where(key > (turn.at, turn.key)).order_by(*keys).limit(limit)
    return list(db.execute(query))[::-1]


def _begins(db: Connection, columns: Sequence[Column[Any]], text: str) -> ColumnElement[bool]:
    """True for rows of which one of `columns` begins so. The few that do are found by the columns' indexes (which LIKE
    would not use); where many do, a page of them is found sooner in the order of time."""
    few = all(_count_to(db, _within(column, text), FEW) < FEW for column in columns)
    return or_(*(_within(column if few else column + "", text) for column in columns))


def _within(column: ColumnElement[str], text: str) -> ColumnElement[bool]:
    return (column >= text) & (column < text + LAST)


def _count_to(db: Connection, where: ColumnElement[bool], limit: int) -> int:
    some = select(literal_column("1")).where(where).limit(limit).subquery()
    return int(db.execute(select(func.count()).select_from(some)).scalar_one())
