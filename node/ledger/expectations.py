"""What is expected of studies under way, as rows. `SqlLedger` has these verbs by inheritance; see Ledger."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Engine, and_, case, delete, exists, func, insert, or_, select, update

from node.ledger import tables as t
from node.ledger.chunks import cut
from node.model.expectation import Expectation, Kind, Question, Tally
from node.model.study import Study, StudyState


class ExpectationLedger:
    """The verbs of `Ledger` that speak of expectations, each one transaction."""

    _engine: Engine
    _reader: Engine

    def find_expectations(self) -> list[Expectation]:
        e, s = t.expectation, t.study
        query = select(e).join(s, s.c.study_uid == e.c.study_uid).where(s.c.state == StudyState.RECEIVING)
        with self._reader.connect() as db:
            rows = [dict(row._mapping) for row in db.execute(query)]
        return [Expectation(**row | {"kind": Kind(row["kind"]), "series": tuple(row["series"])}) for row in rows]

    def put_expectation(self, expectation: Expectation) -> None:
        with self._engine.begin() as db:
            _put(db, expectation)

    def announce(
        self,
        study_uid: str,
        notification_uid: str,
        caller: str,
        instances: Sequence[str],
        gone: Sequence[str],
        at: float,
    ) -> bool:
        n = t.announced
        with self._engine.begin() as db:
            if db.execute(select(n.c.study_uid).where(n.c.notification_uid == notification_uid).limit(1)).first():
                return False
            for some in cut([*instances, *gone]):
                db.execute(delete(n).where((n.c.study_uid == study_uid) & n.c.sop_instance_uid.in_(some)))
            rows = [{"study_uid": study_uid, "sop_instance_uid": uid} for uid in dict.fromkeys(instances)]
            if rows:
                db.execute(insert(n), [row | {"notification_uid": notification_uid, "at": at} for row in rows])
            _put(db, Expectation(study_uid, Kind.ANNOUNCEMENT, caller, at))
            return True

    def tally(self, study_uid: str, series_uids: Sequence[str] = ()) -> Tally:
        i, n = t.instance, t.announced
        held = (i.c.study_uid == study_uid) & ~_is_ours(i.c.sop_instance_uid)
        if series_uids:
            held &= i.c.series_uid.in_(series_uids)
        named = (n.c.study_uid == study_uid) & ~_is_ours(n.c.sop_instance_uid)
        same = (i.c.study_uid == study_uid) & (i.c.sop_instance_uid == n.c.sop_instance_uid)
        with self._reader.connect() as db:
            announced = _count(db, n, named)
            if not announced:
                return Tally(_count(db, i, held))
            here = _count(db, n, named & exists().where(same))
            unnamed = held & i.c.is_image & ~exists().where(same & (n.c.study_uid == study_uid))
            return Tally(_count(db, i, held), announced, here, _count(db, i, unnamed))

    def find_questions(self, caller: str, source: str, now: float, silent: float, limit: int) -> list[Question]:
        s, a, link, e = t.study, t.association, t.association_study, t.expectation
        said = and_(e.c.study_uid == s.c.study_uid, e.c.kind == Kind.COUNT, e.c.source == source)
        ended = func.max(a.c.ended_at)
        mark = case((ended > s.c.last_at, ended), else_=s.c.last_at)
        is_over = or_(func.count() == func.count(a.c.ended_at), s.c.last_at < now - silent)
        is_due = or_(e.c.mark.is_(None), e.c.mark < mark, e.c.next_at <= now)
        query = (
            select(s.c.study_uid, mark.label("mark"), e.c.mark.label("last_mark"), e.c.attempts)
            .join(link, link.c.study_uid == s.c.study_uid)
            .join(a, a.c.id == link.c.association_id)
            .outerjoin(e, said)
            .where((s.c.state == StudyState.RECEIVING) & (a.c.caller == caller))
            .group_by(s.c.study_uid, s.c.last_at, e.c.mark, e.c.attempts, e.c.next_at)
            .having(is_over & is_due)
            .order_by(s.c.last_at)
            .limit(limit)
        )
        with self._reader.connect() as db:
            return [
                Question(r.study_uid, r.mark, r.attempts if r.last_mark == r.mark else 0, _find_ours(db, r.study_uid))
                for r in list(db.execute(query))
            ]

    def note_wait(self, study: Study, text: str) -> None:
        s = t.study
        with self._engine.begin() as db:
            same = (s.c.study_uid == study.study_uid) & (s.c.state == StudyState.RECEIVING)
            db.execute(update(s).where(same).values(waits=text))

    def forget_expectations(self, before: float) -> None:
        under_way = select(t.study.c.study_uid).where(t.study.c.state == StudyState.RECEIVING)
        with self._engine.begin() as db:
            for table in (t.announced, t.expectation):
                db.execute(delete(table).where((table.c.at < before) & table.c.study_uid.not_in(under_way)))


def _is_ours(uid: Any) -> Any:
    """`uid` is a result of this node: a peer may have it, count it and send it back."""
    return exists().where(t.result_object.c.sop_instance_uid == uid)


def _put(db: Connection, expectation: Expectation) -> None:
    e = t.expectation
    key = {name: getattr(expectation, name) for name in ("study_uid", "kind", "source")}
    db.execute(delete(e).where(and_(*(e.c[name] == value for name, value in key.items()))))
    db.execute(insert(e).values(asdict(expectation) | {"series": list(expectation.series)}))


def _find_ours(db: Connection, study_uid: str) -> frozenset[str]:
    o, j = t.result_object, t.job
    query = select(o.c.sop_instance_uid).join(j, j.c.id == o.c.job_id).where(j.c.study_uid == study_uid)
    return frozenset(db.execute(query).scalars())


def _count(db: Connection, table: Any, where: Any) -> int:
    return int(db.execute(select(func.count()).select_from(table).where(where)).scalar_one())
