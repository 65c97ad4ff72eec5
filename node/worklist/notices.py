"""What subscribers have not been told yet: it stays until they were, across restarts, for a month at the longest."""

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Engine, delete, func, select

from node.model.workitem import GLOBAL, Notice, Report
from node.worklist import tables as t
from node.worklist.reports import report_restart
from node.worklist.rows import tell

SEPARATOR = "\\"
"""Between names: no AE title holds one (PS3.5 6.2)."""

CHUNK = 1000
"""Numbers in one statement."""


class NoticeVerbs:
    """The part of `Worklist` that tells."""

    _engine: Engine
    _reader: Engine

    def find_notices(self, subscriber: str, after: int = 0, limit: int = 100) -> list[Notice]:
        """What `subscriber` has not been told of, beyond the event `after`, oldest first."""
        e, n = t.event, t.notice
        query = (
            select(e.c.number, n.c.subscriber, e.c.workitem_uid, e.c.report, e.c.model, e.c.at)
            .join(n, n.c.number == e.c.number)
            .where((n.c.subscriber == subscriber) & (n.c.number > after))
            .order_by(n.c.number)
            .limit(limit)
        )
        with self._reader.connect() as db:
            return [
                Notice(r.number, r.subscriber, r.workitem_uid, Report(r.report), r.model, r.at)
                for r in db.execute(query)
            ]

    def find_untold(self) -> list[str]:
        """Subscribers for whom there is a notice."""
        with self._reader.connect() as db:
            return sorted(db.execute(select(t.notice.c.subscriber).distinct()).scalars())

    def find_newest(self) -> int:
        """Number of the newest event: as long as it stays the same there is nothing new to tell."""
        with self._reader.connect() as db:
            return int(db.execute(select(func.max(t.event.c.number))).scalar() or 0)

    def find_news(self, after: int, until: int, limit: int) -> list[tuple[Notice, frozenset[str]]]:
        """Events beyond `after`, up to `until`, of which somebody has not been told; and who."""
        e, n = t.event, t.notice
        names = func.group_concat(n.c.subscriber, SEPARATOR).label("names")
        query = select(e.c.number, e.c.workitem_uid, e.c.report, e.c.model, e.c.at, names)
        query = query.join(n, n.c.number == e.c.number).where((e.c.number > after) & (e.c.number <= until))
        with self._reader.connect() as db:
            return [
                (
                    Notice(r.number, "", r.workitem_uid, Report(r.report), r.model, r.at),
                    frozenset(r.names.split(SEPARATOR)),
                )
                for r in db.execute(query.group_by(e.c.number).order_by(e.c.number).limit(limit))
            ]

    def settle_notices(self, subscriber: str, numbers: Sequence[int]) -> None:
        """`subscriber` was told."""
        self.settle_told({subscriber: numbers})

    def settle_told(self, told: Mapping[str, Sequence[int]]) -> None:
        """Each subscriber was told of these events; of nothing nothing is written."""
        n = t.notice
        numbers = sorted({number for some in told.values() for number in some})
        if not numbers:
            return
        with self._engine.begin() as db:
            for name, some in told.items():
                for part in _cut(some):
                    db.execute(delete(n).where((n.c.subscriber == name) & n.c.number.in_(part)))
            for part in _cut(numbers):
                db.execute(delete(t.event).where(t.event.c.number.in_(part) & ~_is_wanted()))

    def announce_restart(self, at: float) -> None:
        """Everybody who subscribes is told that the worklist is back (PS3.4 CC.2.4.3)."""
        with self._engine.begin() as db:
            s, g = t.subscription, t.standing
            everybody = sorted(db.execute(select(s.c.subscriber).union(select(g.c.subscriber))).scalars())
            tell(db, GLOBAL, [report_restart()], at, everybody)

    def forget_notices(self, before: float) -> int:
        """What nobody came for since; returns how many events that were."""
        with self._engine.begin() as db:
            old = select(t.event.c.number).where(t.event.c.at < before)
            db.execute(delete(t.notice).where(t.notice.c.number.in_(old)))
            return int(db.execute(delete(t.event).where(~_is_wanted())).rowcount)


def _is_wanted() -> ColumnElement[bool]:
    return select(t.notice.c.number).where(t.notice.c.number == t.event.c.number).exists()


def _cut(numbers: Sequence[int]) -> list[Sequence[int]]:
    return [numbers[at : at + CHUNK] for at in range(0, len(numbers), CHUNK)]
