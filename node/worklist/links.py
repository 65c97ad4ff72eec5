"""Which workitem speaks of which job: one of ours, or one that somebody pushed on us."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Engine, delete, insert, or_, select, update

from node.dicom.model_values import MARK
from node.model.workitem import FINAL_STEPS, StepState, Workitem
from node.worklist import tables as t
from node.worklist.rows import to_workitem


@dataclass(frozen=True, slots=True)
class Link:
    """lock: the Transaction UID by which we hold the workitem once it is claimed. turn: 1, and one more each time that
    a job which had ended runs again. priority: of the workitem when workitem and job last agreed. is_ended: we have
    finished the workitem, or are about to."""

    workitem_uid: str
    job_id: str
    lock: str
    turn: int
    priority: str
    is_ended: bool


class LinkVerbs:
    """The part of `Worklist` that knows of jobs."""

    _engine: Engine
    _reader: Engine

    def find_links(self, job_id: str) -> list[Link]:
        """Those of a job that hold: a workitem that was replaced by one of a later turn has none any more."""
        query = select(t.link).where(t.link.c.job_id == job_id).order_by(t.link.c.workitem_uid)
        with self._reader.connect() as db:
            return [Link(**row._mapping) for row in db.execute(query)]

    def find_open_links(self) -> list[Link]:
        """Those whose workitem we have not finished."""
        with self._reader.connect() as db:
            return [Link(**row._mapping) for row in db.execute(select(t.link).where(~t.link.c.is_ended))]

    def is_linked(self, uid: str) -> bool:
        """True for a workitem that speaks of a job."""
        with self._reader.connect() as db:
            return db.execute(select(t.link.c.job_id).where(t.link.c.workitem_uid == uid)).first() is not None

    def put_link(self, link: Link, instead_of: str = "") -> None:
        """In place of the one of the same workitem, and of that of the workitem `instead_of`."""
        k = t.link
        row = {name: getattr(link, name) for name in Link.__slots__}
        with self._engine.begin() as db:
            db.execute(delete(k).where(k.c.workitem_uid.in_([link.workitem_uid, instead_of])))
            db.execute(insert(k).values(row))

    def remove_link(self, link: Link) -> None:
        """The workitem is none of ours any more."""
        with self._engine.begin() as db:
            db.execute(delete(t.link).where(t.link.c.workitem_uid == link.workitem_uid))

    def find_stirred(self) -> list[Link]:
        """Those to whose workitem somebody else did something that the job has not followed yet: another priority, a
        request to cancel, an end."""
        k, w = t.link, t.workitem
        prioritized = (w.c.state == StepState.SCHEDULED) & (w.c.priority != k.c.priority)
        canceled = (w.c.state == StepState.IN_PROGRESS) & w.c.cancel_asked_at.is_not(None)
        ended = w.c.state.in_(FINAL_STEPS)
        query = select(k).join(w, w.c.uid == k.c.workitem_uid)
        query = query.where(~k.c.is_ended & w.c.deleted_at.is_(None) & or_(prioritized, canceled, ended))
        with self._reader.connect() as db:
            return [Link(**row._mapping) for row in db.execute(query)]

    def find_unlinked(self, codes: Sequence[str], labels: Sequence[str]) -> list[Workitem]:
        """SCHEDULED ones of no job with one of these Scheduled Workitem Codes or Worklist Labels, in their turn."""
        k, w = t.link, t.workitem
        free = ~select(k.c.job_id).where(k.c.workitem_uid == w.c.uid).exists()
        named = [w.c.code.contains(f"{MARK}{code}{MARK}", autoescape=True) for code in codes]
        wanted = or_(w.c.code.in_(codes), w.c.worklist_label.in_(labels), *named)
        query = select(w).where((w.c.state == StepState.SCHEDULED) & free & wanted & w.c.deleted_at.is_(None))
        with self._reader.connect() as db:
            return [to_workitem(row) for row in db.execute(query.order_by(w.c.rank, w.c.start, w.c.uid))]

    def forget_request(self, uid: str) -> None:
        """A request to cancel that cannot be granted any more."""
        with self._engine.begin() as db:
            db.execute(update(t.workitem).where(t.workitem.c.uid == uid).values(cancel_asked_at=None))

    def find_bookmark(self) -> int | None:
        """Up to which change of the ledger workitems have followed; None before the first time."""
        with self._reader.connect() as db:
            return db.execute(select(t.bookmark.c.number)).scalar()

    def put_bookmark(self, number: int) -> None:
        """They have followed up to `number`."""
        with self._engine.begin() as db:
            db.execute(delete(t.bookmark))
            db.execute(insert(t.bookmark).values(number=number))
