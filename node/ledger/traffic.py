"""Who brought a study and who was asked for it is of use as long as its images are: then it is forgotten, all at once.

Of a study that is brought again nothing of the former time is left, neither what was asked for nor who answered: it is
judged by who brings it now.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, exists, func, or_, select, tuple_, union

from node.ledger import tables as t
from node.ledger.chunks import cut
from node.model.study import StudyState


def forget_traffic(db: Connection, before: float, limit: int) -> int:
    """See Ledger.forget_traffic."""
    a, link = t.asking, t.association_study
    gone = _find_gone(db, before, limit)
    for some in cut(gone):
        db.execute(delete(link).where(link.c.study_uid.in_(some)))
        db.execute(delete(a).where(a.c.study_uid.in_(some)))
    never_came = (a.c.until < before) & a.c.study_uid.not_in(select(t.study.c.study_uid))
    db.execute(delete(a).where(never_came))
    _forget_associations(db, before)
    return len(gone)


def _find_gone(db: Connection, before: float, limit: int) -> Sequence[str]:
    s, i, a, link, came = t.study, t.instance, t.asking, t.association_study, t.association
    traced = union(select(link.c.study_uid), select(a.c.study_uid))
    kept = exists().where((i.c.study_uid == s.c.study_uid) & i.c.expired_at.is_(None))
    asked = exists().where((a.c.study_uid == s.c.study_uid) & (a.c.until >= before))
    brought = exists().where(
        (link.c.study_uid == s.c.study_uid)
        & (came.c.id == link.c.association_id)
        & or_(came.c.ended_at.is_(None), came.c.ended_at >= before)
    )
    over = s.c.study_uid.in_(traced) & (s.c.state == StudyState.COMPLETE) & (s.c.last_at < before)
    return db.execute(select(s.c.study_uid).where(over & ~asked & ~brought & ~kept).limit(limit)).scalars().all()


def _forget_associations(db: Connection, before: float) -> None:
    """Those that brought nothing that is still known. When a caller last called stays known."""
    a, link = t.association, t.association_study
    unlinked = (a.c.ended_at < before) & a.c.id.not_in(select(link.c.association_id))
    last = select(a.c.caller, func.max(func.coalesce(a.c.ended_at, a.c.opened_at))).group_by(a.c.caller)
    db.execute(delete(a).where(unlinked & tuple_(a.c.caller, a.c.ended_at).not_in(last)))
