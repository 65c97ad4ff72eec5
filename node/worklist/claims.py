"""Workitems of other managers that we perform: what we claim of them, and what we were told of them.

A claim stands here before the manager is asked for it, with the Transaction UID that it is asked with: after a crash we
know what may be ours. Its copy is a workitem of our own worklist, and goes the way of any that is pushed on us.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Engine, delete, insert, select, update

from node.model.workitem import Report
from node.worklist import tables as t


class ClaimStage(StrEnum):
    """ASKED: the manager is, or will be, asked for it. HELD: it is ours. OVER: it is final, or not ours any more."""

    ASKED = "ASKED"
    HELD = "HELD"
    OVER = "OVER"


@dataclass(frozen=True, slots=True)
class Claim:
    """peer: name of the manager; uid: of the workitem there; copy_uid: of the one here. lock: our Transaction UID.
    told: the progress that the manager was told last, as DICOM JSON. at: when we asked for it, seconds since the epoch,
    UTC."""

    peer: str
    uid: str
    lock: str
    copy_uid: str
    stage: ClaimStage
    told: str
    at: float


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of a manager. model: its information as DICOM JSON text."""

    number: int
    peer: str
    workitem_uid: str
    report: Report
    model: str


class ClaimVerbs:
    """The part of `Worklist` that knows of other managers."""

    _engine: Engine
    _reader: Engine

    def add_claim(self, claim: Claim) -> bool:
        """False, and nothing is written, when there is one of this workitem."""
        c = t.claim
        with self._engine.begin() as db:
            held = db.execute(select(c.c.uid).where((c.c.peer == claim.peer) & (c.c.uid == claim.uid))).first()
            if held is None:
                db.execute(insert(c).values(_to_row(claim)))
        return held is None

    def put_claim(self, claim: Claim) -> None:
        """In place of the one that is there."""
        c = t.claim
        with self._engine.begin() as db:
            mine = (c.c.peer == claim.peer) & (c.c.uid == claim.uid)
            db.execute(update(c).where(mine).values(_to_row(claim)))

    def move_claims(self, by: float) -> None:
        """The system clock was set by `by` seconds: what is not OVER is as old as it was."""
        c = t.claim
        with self._engine.begin() as db:
            db.execute(update(c).where(c.c.stage != ClaimStage.OVER).values(at=c.c.at + by))

    def remove_claim(self, claim: Claim) -> None:
        """The manager did not grant it."""
        c = t.claim
        with self._engine.begin() as db:
            db.execute(delete(c).where((c.c.peer == claim.peer) & (c.c.uid == claim.uid)))

    def find_claims(self, peer: str, uid: str = "") -> list[Claim]:
        """Of one manager, those that are OVER too, in the order in which they were asked for; uid: of this one."""
        c = t.claim
        query = select(c).where(c.c.peer == peer).order_by(c.c.at, c.c.uid)
        if uid:
            query = query.where(c.c.uid == uid)
        with self._reader.connect() as db:
            return [Claim(**dict(row._mapping) | {"stage": ClaimStage(row.stage)}) for row in db.execute(query)]

    def hear(self, peer: str, uid: str, report: int, model: str) -> None:
        """An event came, and is kept until somebody acts on it."""
        row = {"peer": peer, "workitem_uid": uid, "report": int(Report(report)), "model": model}
        with self._engine.begin() as db:
            db.execute(insert(t.heard).values(row))

    def find_heard(self, peer: str, limit: int = 200) -> list[Heard]:
        """What a manager told and nobody acted on, oldest first."""
        h = t.heard
        with self._reader.connect() as db:
            rows = db.execute(select(h).where(h.c.peer == peer).order_by(h.c.number).limit(limit))
            return [Heard(**dict(row._mapping) | {"report": Report(row.report)}) for row in rows]

    def settle_heard(self, numbers: Sequence[int]) -> None:
        """They were acted on."""
        with self._engine.begin() as db:
            db.execute(delete(t.heard).where(t.heard.c.number.in_(numbers)))


def _to_row(claim: Claim) -> dict[str, object]:
    return {name: getattr(claim, name) for name in Claim.__slots__}
