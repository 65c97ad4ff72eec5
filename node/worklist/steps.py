"""A workitem's life: created, claimed, changed, finished, canceled; every verb one transaction over the one table."""

import json
from typing import Any

from pydicom import Dataset
from pydicom.uid import generate_uid
from sqlalchemy import Connection, Engine, Row, insert, update

from node.errors import WorkitemRefused
from node.model.workitem import (
    CHANGES,
    CREATED,
    CREATED_CHANGED,
    FINAL_STEPS,
    GONE,
    NO_LOCK,
    PUSH_CLASS,
    SCOPES,
    TABLE,
    UNFINISHED,
    WRONG_LOCK,
    Effect,
    Outcome,
    Request,
    StepState,
    Workitem,
)
from node.worklist import rules
from node.worklist import tables as t
from node.worklist.keys import find_columns
from node.worklist.reports import (
    TOLD,
    Event,
    report_cancel_request,
    report_changes,
    report_new,
    report_state,
)
from node.worklist.rows import dump, find_row, pick, tell, to_dataset, to_model, to_workitem
from node.worklist.standing import subscribe_new


class StepVerbs:
    """The part of `Worklist` that workitems change by. Each verb raises WorkitemRefused for what is not granted."""

    _engine: Engine
    _reader: Engine

    def create(self, request: Dataset, at: float, uid: str = "") -> tuple[str, Outcome]:
        """N-CREATE (PS3.4 CC.2.5). uid: "" takes that of `request`, or makes one. (its uid, the outcome): granted
        with 0xB300 when `request` left out what must be there, if only empty."""
        uid = uid or str(request.get("SOPInstanceUID") or request.get("AffectedSOPInstanceUID") or generate_uid())
        if uid in SCOPES:
            raise WorkitemRefused(f"{uid} stands for the whole worklist and is no uid of a workitem", 0x0106, 400)
        with self._engine.begin() as db:
            _judge(Request.CREATE, uid, find_row(db, uid), is_new=True)
            rules.check_new(request)
            workitem = _without_lock(request)
            lacked = rules.complete(workitem, at)
            workitem.SOPClassUID, workitem.SOPInstanceUID = PUSH_CLASS, uid
            model = to_model(workitem)
            row = _to_row(model, StepState.SCHEDULED, at) | {"uid": uid, "transaction_uid": "", "ended_at": None}
            db.execute(insert(t.workitem).values(row))
            subscribe_new(db, uid, model)
            tell(db, uid, list(report_new(workitem)), at)
        return uid, CREATED_CHANGED if lacked else CREATED

    def get(self, uid: str) -> Workitem:
        """N-GET, without the Transaction UID (PS3.4 CC.2.7)."""
        with self._reader.connect() as db:
            row = find_row(db, uid)
        _judge(Request.SET_BARE, uid, row, only_there=True)
        assert row is not None
        return to_workitem(row)

    def update(self, uid: str, changes: Dataset, at: float, transaction_uid: str = "") -> Outcome:
        """N-SET (PS3.4 CC.2.6): each attribute in `changes` takes the place of the one there, sequences as a whole.
        transaction_uid: "" takes the one in `changes`."""
        lock = transaction_uid or str(changes.get("TransactionUID") or "")
        with self._engine.begin() as db:
            row = find_row(db, uid)
            held = row.transaction_uid if row else ""
            request = Request.SET_BARE if not lock else Request.SET_RIGHT if lock == held else Request.SET_WRONG
            outcome = _judge(request, uid, row, lock)
            assert row is not None
            model = json.loads(row.model)
            before = pick(model)
            rules.check_changes(changes, before)
            changes = _without_lock(changes)
            rules.stamp(changes, at)
            model = dict(sorted((model | to_model(changes)).items()))
            _write(db, row, model, row.state, at)
            tell(db, uid, list(report_changes(before, pick(model))), at)
        return outcome

    def change_state(self, uid: str, state: str, transaction_uid: str, at: float) -> Outcome:
        """N-ACTION 1 (PS3.4 CC.2.1). state: as it is asked for."""
        if state not in set(StepState):
            raise WorkitemRefused(f"workitem {uid}: there is no state {state[:16]!r}", 0x0115, 400)
        right, wrong = CHANGES[StepState(state)]
        with self._engine.begin() as db:
            row = find_row(db, uid)
            is_right = bool(transaction_uid) and (not row or row.transaction_uid in {"", transaction_uid})
            outcome = _judge(right if is_right else wrong, uid, row, transaction_uid)
            assert row is not None
            if outcome.effect in {Effect.CLAIM, Effect.FINISH}:
                _move(db, row, StepState(state), transaction_uid, at)
        return outcome

    def request_cancel(self, uid: str, request: Dataset, requester: str, at: float) -> Outcome:
        """N-ACTION 2 (PS3.4 CC.2.2). request: reason and contact, may be empty; requester: AE title, or name of who
        asks by HTTP."""
        with self._engine.begin() as db:
            row = find_row(db, uid)
            outcome = _judge(Request.ASK_TO_CANCEL, uid, row)
            assert row is not None
            if outcome.effect == Effect.CANCEL:
                _cancel(db, row, request, at)
            elif outcome.effect == Effect.TELL:
                db.execute(update(t.workitem).where(t.workitem.c.uid == uid).values(cancel_asked_at=at))
                tell(db, uid, [report_cancel_request(request, requester)], at)
        return outcome


def _judge(
    request: Request,
    uid: str,
    row: Row[Any] | None,
    transaction_uid: str = "",
    *,
    is_new: bool = False,
    only_there: bool = False,
) -> Outcome:
    """What the table says. Raises WorkitemRefused when that is a refusal; only_there: whatever its state."""
    state = StepState(row.state) if row else None
    outcome = TABLE[request, state]
    if row is not None and row.deleted_at is not None and not is_new:
        outcome = GONE
    elif only_there and row is not None:
        return outcome
    if outcome.is_granted:
        return outcome
    warning = NO_LOCK if outcome == WRONG_LOCK and not transaction_uid else outcome.warning
    raise WorkitemRefused(f"workitem {uid}: {outcome.text}", outcome.status, outcome.http, warning)


def _move(db: Connection, row: Row[Any], to: StepState, transaction_uid: str, at: float) -> None:
    workitem = to_dataset(row.model)
    if to == StepState.COMPLETED and (unmet := list(rules.find_unmet(workitem))):
        text = f"workitem {row.uid}: COMPLETED lacks {', '.join(dict.fromkeys(unmet))} (PS3.4 CC.2.5.1.1)"
        raise WorkitemRefused(text, UNFINISHED.status, UNFINISHED.http, UNFINISHED.warning)
    if to == StepState.CANCELED:
        _note_end(workitem, Dataset(), at)
    workitem.ProcedureStepState = str(to)
    _write(db, row, to_model(workitem), to, at, transaction_uid)
    tell(db, row.uid, [report_state(workitem)], at)


def _cancel(db: Connection, row: Row[Any], request: Dataset, at: float) -> None:
    """A SCHEDULED one, by way of IN PROGRESS (PS3.4 CC.2.2.3)."""
    workitem = to_dataset(row.model)
    events: list[Event] = [report_state(workitem, StepState.IN_PROGRESS)]
    _note_end(workitem, request, at)
    workitem.ProcedureStepState = str(StepState.CANCELED)
    _write(db, row, to_model(workitem), StepState.CANCELED, at)
    tell(db, row.uid, [*events, report_state(workitem)], at)


def _note_end(workitem: Dataset, request: Dataset, at: float) -> None:
    """When it was canceled, and why if somebody said so (Final State code X)."""
    progress = rules.find_progress(workitem)
    if not progress.get("ProcedureStepCancellationDateTime"):
        progress.ProcedureStepCancellationDateTime = rules.to_moment(at)
    for keyword in TOLD:
        if request.get(keyword):
            progress[keyword] = request[keyword]


def _write(
    db: Connection, row: Row[Any], model: dict[str, Any], state: str, at: float, transaction_uid: str | None = None
) -> None:
    """Compare-and-set on the state and the lock as they were read."""
    w = t.workitem
    values = _to_row(model, StepState(state), at)
    if transaction_uid is not None:
        values["transaction_uid"] = transaction_uid
    as_read = (w.c.uid == row.uid) & (w.c.state == row.state) & (w.c.transaction_uid == row.transaction_uid)
    if not db.execute(update(w).where(as_read).values(values)).rowcount:
        raise WorkitemRefused(f"workitem {row.uid} changed meanwhile: ask again", 0x0110, 409)


def _to_row(model: dict[str, Any], state: StepState, at: float) -> dict[str, Any]:
    ended = {"ended_at": at} if state in FINAL_STEPS else {}
    return find_columns(model) | {"state": state, "model": dump(model), "changed_at": at} | ended


def _without_lock(request: Dataset) -> Dataset:
    copy = Dataset()
    copy.update({element.tag: element for element in request if element.tag != 0x00081195 and element.tag.group > 2})
    return copy
