"""Rows of jobs and of their history, as every part of the ledger reads and writes them."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, case, insert, select

from node.errors import UnknownJob
from node.ledger import tables as t
from node.model.job import Gathering, Job, Late, Priority, State


def get_job(db: Connection, job_id: str) -> Job:
    """The job with this id. Raises UnknownJob."""
    row = db.execute(select(t.job).where(t.job.c.id == job_id)).first()
    if row is None:
        raise UnknownJob(f"no job {job_id}")
    return to_job(row)


def to_job(row: Row[Any]) -> Job:
    """A row of the table as a Job."""
    values = dict(row._mapping)
    values.pop("rung_at")
    for key in ("series_uids", "deliver", "tell", "notes", "priors"):
        values[key] = tuple(values[key])
    values |= {"state": State(row.state), "priority": Priority(row.priority), "gathering": Gathering(row.gathering)}
    values |= {"late": Late(row.late)}
    return Job(**values)


def find_rank(job: Table) -> ColumnElement[int]:
    """How urgent rows of `job` are, 0 for the most urgent: in the order in which `Priority` names them."""
    ranks = {priority.value: rank for rank, priority in enumerate(Priority)}
    return case(ranks, value=job.c.priority, else_=len(ranks))


def remember(
    db: Connection, job_id: str, at: float, state: State, station: str, text: str, seconds: Mapping[str, float]
) -> None:
    """One line of a job's history."""
    row = {"job_id": job_id, "at": at, "state": state, "station": station, "text": text, "seconds": dict(seconds)}
    db.execute(insert(t.history).values(row))
