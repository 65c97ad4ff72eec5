"""A batch from the door as rows: a handful of statements however many images it has."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Table, insert, select, update
from sqlalchemy.sql.expression import bindparam

from node.ledger import tables as t
from node.ledger.chunks import cut
from node.model.batch import Batch
from node.model.study import Instance, StudyState


def record_batch(db: Connection, batch: Batch) -> list[tuple[Instance, str]]:
    """Writes `batch` inside the transaction of `db`; see Ledger.record."""
    if batch.opened:
        rows = [
            {"id": o.id, "listener": o.listener, "caller": o.caller, "opened_at": o.at, "how": ""} for o in batch.opened
        ]
        db.execute(insert(t.association), rows)
    new, again, conflicts = _sort(db, batch.instances)
    if again:
        _revive(db, again)
    if new:
        columns = [column.name for column in t.instance.columns]
        _insert(db, t.instance, columns, [[getattr(instance, name) for name in columns] for instance in new])
        _grow_studies(db, new)
    refused = {id(instance) for instance, _ in conflicts}
    _link(
        db, {(i.study_uid, association) for i, association in batch.instances if association and id(i) not in refused}
    )
    if batch.ended:
        a = t.association
        statement = update(a).where((a.c.id == bindparam("key")) & a.c.ended_at.is_(None))
        rows = [{"key": e.id, "then": e.at, "why": e.how} for e in batch.ended]
        db.execute(statement.values(ended_at=bindparam("then"), how=bindparam("why")), rows)
    _count(db, batch)
    return conflicts


def _insert(db: Connection, table: Table, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """The driver's own executemany: a row of an image must not cost what SQLAlchemy's processing of it does."""
    compiled = insert(table).compile(dialect=db.dialect, column_keys=list(columns))
    if compiled.positiontup is None:
        db.exec_driver_sql(str(compiled), [dict(zip(columns, row, strict=True)) for row in rows])
        return
    order = [columns.index(name) for name in compiled.positiontup]
    db.exec_driver_sql(str(compiled), [tuple(row[at] for at in order) for row in rows])


def _sort(
    db: Connection, brought: Sequence[tuple[Instance, str]]
) -> tuple[list[Instance], list[Instance], list[tuple[Instance, str]]]:
    """(what is new, what is held already, what is held with another content)."""
    held = _find_digests(db, [instance.sop_instance_uid for instance, _ in brought])
    new, again, conflicts = [], [], []
    for instance, association in brought:
        known = held.setdefault(instance.sop_instance_uid, "")
        if not known:
            held[instance.sop_instance_uid] = instance.digest
            new.append(instance)
        elif known != instance.digest:
            conflicts.append((instance, association))
        else:
            again.append(instance)
    return new, again, conflicts


def _revive(db: Connection, again: Sequence[Instance]) -> None:
    """What retention took and the sender brought again has its file again; that is no news for its study."""
    i, s = t.instance, t.study
    taken = i.c.expired_at.is_not(None)
    for some in cut([instance.sop_instance_uid for instance in again]):
        these = taken & i.c.sop_instance_uid.in_(some)
        studies = list(db.execute(select(i.c.study_uid).where(these).distinct()).scalars())
        if studies:
            db.execute(update(i).where(these).values(expired_at=None))
            last = max(instance.received_at for instance in again)
            db.execute(update(s).where(s.c.study_uid.in_(studies) & (s.c.last_at < last)).values(last_at=last))


def _find_digests(db: Connection, uids: Sequence[str]) -> dict[str, str]:
    i = t.instance
    found: dict[str, str] = {}
    for some in cut(uids):
        for uid, digest in db.execute(select(i.c.sop_instance_uid, i.c.digest).where(i.c.sop_instance_uid.in_(some))):
            found[uid] = digest
    return found


def find_classes(db: Connection, uids: Sequence[str]) -> dict[str, str]:
    """SOP Instance UID -> SOP Class UID of those of `uids` that are held."""
    i = t.instance
    found: dict[str, str] = {}
    for some in cut(uids):
        present = i.c.sop_instance_uid.in_(some) & i.c.expired_at.is_(None)
        query = select(i.c.sop_instance_uid, i.c.sop_class_uid).where(present)
        found.update({row.sop_instance_uid: row.sop_class_uid for row in db.execute(query)})
    return found


def _link(db: Connection, pairs: set[tuple[str, str]]) -> None:
    link = t.association_study
    known: set[tuple[str, str]] = set()
    for some in cut(sorted({study for study, _ in pairs})):
        rows = db.execute(select(link.c.study_uid, link.c.association_id).where(link.c.study_uid.in_(some)))
        known |= {(row.study_uid, row.association_id) for row in rows}
    if fresh := sorted(pairs - known):
        db.execute(insert(link), [{"study_uid": study, "association_id": association} for study, association in fresh])


def _grow_studies(db: Connection, new: Iterable[Instance]) -> None:
    """New instances open their study, keep it open, or, if one is an image, open its next version."""
    studies: dict[str, list[Instance]] = {}
    for instance in new:
        studies.setdefault(instance.study_uid, []).append(instance)
    for uid, instances in studies.items():
        _grow_study(db, uid, instances)


def _grow_study(db: Connection, uid: str, instances: Sequence[Instance]) -> None:
    s = t.study
    first, last = min(i.received_at for i in instances), max(i.received_at for i in instances)
    row = db.execute(select(s).where(s.c.study_uid == uid)).first()
    if row is None:
        values: dict[str, Any] = {"study_uid": uid, "version": 1, "first_at": first, "last_at": last, "evidence": ""}
        db.execute(insert(s).values(values | {"state": StudyState.RECEIVING, "reason": ""}))
        return
    closed = row.state == StudyState.COMPLETE
    if closed and not any(instance.is_image for instance in instances):
        return
    values = {"last_at": max(last, row.last_at)}
    if closed:
        values |= {"state": StudyState.RECEIVING, "version": row.version + 1, "closed_at": None}
    db.execute(update(s).where(s.c.study_uid == uid).values(values))


def _count(db: Connection, batch: Batch) -> None:
    d = t.door
    for what, number in batch.counts.items():
        if not db.execute(update(d).where(d.c.what == what).values(number=d.c.number + number)).rowcount:
            db.execute(insert(d).values(what=what, number=number))
