"""Which studies are finished and may go, and that they went: inside the transaction of SqlLedger's verbs."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, exists, func, select, update

from node.ledger import tables as t
from node.ledger.chunks import cut
from node.ledger.gathering import is_prior_in_use
from node.model.job import FINAL, State
from node.model.study import Finished, StudyState


def find_finished(db: Connection, before: float, failed_before: float, limit: int) -> list[Finished]:
    """See Ledger.find_finished."""
    s, i = t.study, t.instance
    size = func.sum(i.c.size).label("size")
    query = select(s.c.study_uid, s.c.version, s.c.last_at, size).join(i, i.c.study_uid == s.c.study_uid)
    query = query.where(_is_finished(failed_before) & (s.c.last_at < before) & i.c.expired_at.is_(None))
    query = query.group_by(s.c.study_uid, s.c.version, s.c.last_at).order_by(s.c.last_at).limit(limit)
    return [Finished(row.study_uid, row.version, row.last_at, int(row.size)) for row in db.execute(query)]


def expire_study(db: Connection, study: Finished, failed_before: float, at: float) -> list[str]:
    """See Ledger.expire_study."""
    s, i = t.study, t.instance
    as_read = (s.c.study_uid == study.study_uid) & (s.c.version == study.version) & (s.c.last_at == study.last_at)
    if db.execute(select(s.c.study_uid).where(as_read & _is_finished(failed_before))).first() is None:
        return []
    present = (i.c.study_uid == study.study_uid) & i.c.expired_at.is_(None)
    paths = list(db.execute(select(i.c.path).where(present)).scalars())
    db.execute(update(i).where(present).values(expired_at=at))
    return paths


def find_expired(db: Connection, paths: Sequence[str]) -> set[str]:
    """See Ledger.find_expired."""
    i, expired = t.instance, set[str]()
    for some in cut(paths):
        gone = i.c.path.in_(some) & i.c.expired_at.is_not(None)
        expired |= set(db.execute(select(i.c.path).where(gone)).scalars())
    return expired


def _is_finished(failed_before: float) -> ColumnElement[bool]:
    """A study that was closed, whose jobs have all ended; one that failed waits longer for somebody to look at it."""
    s, j = t.study, t.job
    here = j.c.study_uid == s.c.study_uid
    unfinished = exists().where(here & j.c.state.not_in(list(FINAL)))
    failed = exists().where(here & (j.c.state == State.FAILED) & (j.c.version == s.c.version))
    return (
        (s.c.state == StudyState.COMPLETE)
        & ~unfinished
        & ~is_prior_in_use(s)
        & (~failed | (s.c.last_at < failed_before))
    )
