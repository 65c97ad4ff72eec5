"""The worklist on one SQLite file: each verb one transaction, each change a compare-and-set."""

from pathlib import Path

from sqlalchemy import Engine, delete, inspect, select, update
from sqlalchemy.schema import CreateIndex

from node.ledger.engine import open_engine
from node.ledger.watch import Watch
from node.worklist import tables as t
from node.worklist.claims import ClaimStage, ClaimVerbs
from node.worklist.links import LinkVerbs
from node.worklist.notices import NoticeVerbs
from node.worklist.search import SearchVerbs
from node.worklist.standing import SubscriptionVerbs
from node.worklist.steps import StepVerbs

STAYS = 86400.0
"""Seconds for which a final workitem stays at least (IHE AIW-I 4.85.4.1.3)."""

REMEMBERED = 30 * 86400.0
"""Seconds for which it is known that a uid was deleted, and for which an event waits for its subscriber."""


class Worklist(StepVerbs, SubscriptionVerbs, NoticeVerbs, SearchVerbs, LinkVerbs, ClaimVerbs):
    """`home`/worklist.sqlite. Safe to use from many threads and processes at once. Times are seconds since the epoch,
    UTC."""

    def __init__(self, home: Path) -> None:
        place = home / "worklist.sqlite"
        home.mkdir(parents=True, exist_ok=True)
        place.touch(0o600)  # attributes of patients: its owner alone reads it
        self._engine: Engine = open_engine(f"sqlite:///{place}", t.metadata)
        _add_indexes(self._engine)
        self._reader: Engine = self._engine.execution_options(read_only=True)
        self._watch = Watch(self._engine.url)

    def close(self) -> None:
        """Gives the connections back."""
        self._watch.close()
        self._engine.dispose()

    def look(self) -> int:
        """A number that is another one as soon as anybody wrote since the last look."""
        return self._watch.look()

    def delete_final(self, now: float, stays: float = STAYS) -> int:
        """Final workitems that ended `stays` seconds ago or longer, and on which nobody holds a deletion lock, and of
        which no other manager is still to be told, go: what is left is that the uid was there. Returns how many."""
        w, s, c = t.workitem, t.subscription, t.claim
        locked = select(s.c.workitem_uid).where((s.c.workitem_uid == w.c.uid) & s.c.lock).exists()
        owed = select(c.c.uid).where((c.c.copy_uid == w.c.uid) & (c.c.stage != ClaimStage.OVER)).exists()
        old = (w.c.ended_at <= now - stays) & w.c.deleted_at.is_(None) & ~locked & ~owed
        blank = {
            "model": "",
            "lean": "",
            "patient_id": "",
            "patient_name": "",
            "accession": "",
            "label": "",
            "study_uid": "",
        }
        with self._engine.begin() as db:
            uids = list(db.execute(select(w.c.uid).where(old)).scalars())
            for uid in uids:
                db.execute(update(w).where(w.c.uid == uid).values(blank | {"deleted_at": now}))
                db.execute(delete(s).where(s.c.workitem_uid == uid))
                db.execute(delete(t.link).where(t.link.c.workitem_uid == uid))
                db.execute(delete(c).where(c.c.copy_uid == uid))
            db.execute(delete(w).where(w.c.deleted_at < now - REMEMBERED))
            db.execute(delete(c).where((c.c.stage == ClaimStage.OVER) & (c.c.at < now - REMEMBERED)))
        self.forget_notices(now - REMEMBERED)
        return len(uids)


def _add_indexes(engine: Engine) -> None:
    """A file that an older version made gets the indexes that came since."""
    present = {index["name"] for index in inspect(engine).get_indexes(t.workitem.name)}
    missing = [index for index in t.workitem.indexes if index.name not in present]
    if missing:
        with engine.begin() as db:
            for index in missing:
                db.execute(CreateIndex(index, if_not_exists=True))
