"""Who subscribes to what: the states and transitions of PS3.4 Table CC.2.3-2."""

import json
from collections.abc import Sequence
from typing import Any

from pydicom import Dataset
from sqlalchemy import Connection, Engine, delete, insert, select, update

from node.errors import WorkitemRefused
from node.model.workitem import (
    FILTERED,
    GLOBAL,
    GONE,
    NOT_SUBSCRIBED,
    SCOPES,
    SUBSCRIBED,
    UNKNOWN,
    UNSUBSCRIBED,
    Outcome,
)
from node.worklist import tables as t
from node.worklist.keys import fits, make_matches, read_keys
from node.worklist.rows import find_row, tell_states


class SubscriptionVerbs:
    """The part of `Worklist` that subscribers use; `uid` may be GLOBAL or FILTERED. subscriber: an AE title."""

    _engine: Engine
    _reader: Engine

    def subscribe(
        self,
        uid: str,
        subscriber: str,
        at: float,
        *,
        lock: bool = False,
        keys: Dataset | Sequence[tuple[str, str]] = (),
    ) -> Outcome:
        """N-ACTION 3. lock: the workitem stays when it is final, until this subscriber lets go. keys: of FILTERED, an
        identifier, or (path of tags, text) of each. Raises WorkitemRefused."""
        if uid in SCOPES:
            return self._subscribe_all(uid, subscriber, at, lock, keys)
        with self._engine.begin() as db:
            model = _require(db, uid)
            _put(db, uid, subscriber, lock, "")
            tell_states(db, [(uid, model)], subscriber, at)
        return SUBSCRIBED

    def unsubscribe(self, uid: str, subscriber: str) -> Outcome:
        """N-ACTION 4. From GLOBAL: from everything, locks and all. From FILTERED: from what that subscription brought.
        Where there is none DIMSE says success, HTTP 404."""
        s, g = t.subscription, t.standing
        mine = s.c.subscriber == subscriber
        with self._engine.begin() as db:
            if uid not in SCOPES:
                _require(db, uid)
                gone = db.execute(delete(s).where(mine & (s.c.workitem_uid == uid))).rowcount
                return UNSUBSCRIBED if gone else NOT_SUBSCRIBED
            scopes = SCOPES if uid == GLOBAL else {FILTERED}
            standing = (g.c.subscriber == subscriber) & g.c.scope.in_(scopes)
            gone = db.execute(delete(g).where(standing)).rowcount
            which = mine if uid == GLOBAL else mine & (s.c.scope == FILTERED)
            gone += db.execute(delete(s).where(which)).rowcount
            return UNSUBSCRIBED if gone else NOT_SUBSCRIBED

    def suspend(self, uid: str, subscriber: str) -> Outcome:
        """N-ACTION 5: no new workitems any more; what is subscribed to stays so."""
        if uid not in SCOPES:
            raise WorkitemRefused(f"{uid} is no global subscription: only those are suspended", 0xC314, 400)
        g = t.standing
        with self._engine.begin() as db:
            mine = (g.c.subscriber == subscriber) & (g.c.scope == uid)
            return UNSUBSCRIBED if db.execute(delete(g).where(mine)).rowcount else NOT_SUBSCRIBED

    def find_subscribers(self, uid: str = "") -> list[str]:
        """Of one workitem, or everybody who subscribes to anything."""
        s, g = t.subscription, t.standing
        with self._reader.connect() as db:
            if uid:
                return sorted(db.execute(select(s.c.subscriber).where(s.c.workitem_uid == uid)).scalars())
            everybody = select(s.c.subscriber).union(select(g.c.subscriber))
            return sorted(db.execute(everybody).scalars())

    def _subscribe_all(
        self, scope: str, subscriber: str, at: float, lock: bool, keys: Dataset | Sequence[tuple[str, str]]
    ) -> Outcome:
        pairs = read_keys(keys) if isinstance(keys, Dataset) else list(keys)
        matches = _read(pairs) if scope == FILTERED else []
        if scope == FILTERED and not pairs:
            raise WorkitemRefused("a filtered subscription says by keys what it is for", 0x0114, 400)
        g, s, w = t.standing, t.subscription, t.workitem
        with self._engine.begin() as db:
            db.execute(delete(g).where((g.c.subscriber == subscriber) & (g.c.scope == scope)))
            row = {"subscriber": subscriber, "scope": scope, "lock": lock, "keys": json.dumps(pairs)}
            db.execute(insert(g).values(row))
            mine = select(s.c.workitem_uid).where(s.c.subscriber == subscriber)
            others = select(w.c.uid, w.c.model).where(w.c.deleted_at.is_(None) & w.c.uid.not_in(mine))
            rows = db.execute(others.order_by(w.c.changed_at)).all()
            new = [row for row in rows if fits(matches, json.loads(row.model) if matches else {})]
            added = [{"workitem_uid": r.uid, "subscriber": subscriber, "lock": lock, "scope": scope} for r in new]
            if added:
                db.execute(insert(s), added)
            if lock:  # without one there is no initial event (Table CC.2.3-2)
                tell_states(db, [(one.uid, one.model) for one in new], subscriber, at)
        return SUBSCRIBED


def subscribe_new(db: Connection, uid: str, model: dict[str, Any]) -> None:
    """Those with a global subscription that it fits subscribe to a workitem that was just created."""
    g = t.standing
    for row in db.execute(select(g).order_by(g.c.scope)).all():
        if fits(_read(json.loads(row.keys)), model):
            already = select(t.subscription.c.lock).where(
                (t.subscription.c.workitem_uid == uid) & (t.subscription.c.subscriber == row.subscriber)
            )
            if (lock := db.execute(already).scalar()) is None:
                _put(db, uid, row.subscriber, row.lock, row.scope)
            elif row.lock and not lock:
                _put(db, uid, row.subscriber, True, row.scope)


def _put(db: Connection, uid: str, subscriber: str, lock: bool, scope: str) -> None:
    s = t.subscription
    mine = (s.c.workitem_uid == uid) & (s.c.subscriber == subscriber)
    if not db.execute(update(s).where(mine).values(lock=lock, scope=scope)).rowcount:
        row = {"workitem_uid": uid, "subscriber": subscriber, "lock": lock, "scope": scope}
        db.execute(insert(s).values(row))


def _require(db: Connection, uid: str) -> str:
    """Its model. Raises WorkitemRefused when there is none."""
    row = find_row(db, uid)
    if row is None or row.deleted_at is not None:
        outcome = UNKNOWN if row is None else GONE
        raise WorkitemRefused(f"workitem {uid}: {outcome.text}", outcome.status, outcome.http)
    return str(row.model)


def _read(pairs: Sequence[Sequence[str]]) -> list[Any]:
    try:
        return make_matches([(path, value) for path, value in pairs])
    except ValueError as error:
        raise WorkitemRefused(str(error), 0x0115, 400) from None
