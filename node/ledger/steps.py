"""Performed procedure steps as rows: an expectation for each study of the step, and the images that it names.

Its state is the answer of the expectation, its uid the source. A step of several studies names images of nobody knows
which: it is told, and announces none.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Engine, delete, insert, select, update

from node.ledger import tables as t
from node.ledger.chunks import cut
from node.model.expectation import Kind, StepState


class StepLedger:
    """The verbs of `Ledger` that speak of performed procedure steps, each one transaction."""

    _engine: Engine

    def begin_step(self, uid: str, study_uids: Sequence[str], images: Sequence[str], at: float) -> bool:
        """See Ledger.begin_step."""
        with self._engine.begin() as db:
            if _find(db, uid):
                return False
            row = {"kind": Kind.STEP, "source": uid, "at": at, "number": len(images), "answer": StepState.IN_PROGRESS}
            times = {"mark": 0.0, "next_at": 0.0, "attempts": 0, "series": []}
            db.execute(insert(t.expectation), [{"study_uid": study_uid} | row | times for study_uid in study_uids])
            _announce(db, uid, study_uids, images, at)
            return True

    def set_step(self, uid: str, state: StepState | None, images: Sequence[str] | None, at: float) -> StepState | None:
        """See Ledger.set_step."""
        e = t.expectation
        with self._engine.begin() as db:
            known = _find(db, uid)
            if not known:
                return None
            before = next(iter(known.values()))
            if before != StepState.IN_PROGRESS:
                return before
            values = {"at": at} | ({"answer": state} if state else {})
            if images is not None:
                values |= {"number": len(images)}
                db.execute(delete(t.announced).where(t.announced.c.notification_uid == uid))
                _announce(db, uid, list(known), images, at)
            db.execute(update(e).where((e.c.kind == Kind.STEP) & (e.c.source == uid)).values(values))
            return before


def _find(db: Connection, uid: str) -> dict[str, StepState]:
    """Study Instance UID -> state of the step."""
    e = t.expectation
    rows = db.execute(select(e.c.study_uid, e.c.answer).where((e.c.kind == Kind.STEP) & (e.c.source == uid)))
    return {row.study_uid: StepState(row.answer) for row in rows}


def _announce(db: Connection, uid: str, study_uids: Sequence[str], images: Sequence[str], at: float) -> None:
    if len(study_uids) != 1:
        return
    n = t.announced
    for some in cut(images):
        db.execute(delete(n).where((n.c.study_uid == study_uids[0]) & n.c.sop_instance_uid.in_(some)))
    row = {"study_uid": study_uids[0], "notification_uid": uid, "at": at}
    if images:
        db.execute(insert(n), [row | {"sop_instance_uid": image} for image in dict.fromkeys(images)])
