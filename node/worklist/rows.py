"""Rows of the worklist as nouns, and Datasets as the text that rows hold."""

import json
from collections.abc import Sequence
from typing import Any

from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from sqlalchemy import Connection, Row, insert, select

from node.dicom.header import DAMAGE
from node.errors import WorkitemRefused
from node.model.workitem import Report, StepState, Workitem
from node.worklist import tables as t
from node.worklist.reports import ASSIGNMENT, Event
from node.worklist.rules import NEVER_SET, VALUED

UTF_8 = "ISO_IR 192"

STATE_TAGS = ("00741000", "00404041")
TOLD_TAGS = ("00741238", "0074100E")
PROGRESS_TAG = "00741002"

LOOKED_AT = frozenset(
    f"{tag_for_keyword(keyword):08X}"
    for keyword in (*VALUED, *NEVER_SET, *ASSIGNMENT, "ProcedureStepProgressInformationSequence")
)


def to_workitem(row: Row[Any]) -> Workitem:
    """A row of the table as a Workitem."""
    return Workitem(row.uid, StepState(row.state), row.model, row.changed_at, row.ended_at)


def to_dataset(model: str) -> Dataset:
    """The attributes in `model`, DICOM JSON text."""
    return Dataset.from_json(model)


def pick(model: dict[str, Any]) -> Dataset:
    """What rules and reports look at: the lists of inputs and outputs may be long, and changes are many."""
    return Dataset.from_json({tag: element for tag, element in model.items() if tag in LOOKED_AT})


def to_model(dataset: Dataset) -> dict[str, Any]:
    """`dataset` as DICOM JSON; text is Unicode and says so. Raises WorkitemRefused for values that cannot be read."""
    try:
        model = {tag: _prune(element) for tag, element in dataset.to_json_dict().items()}
    except DAMAGE as error:
        raise WorkitemRefused(f"a value cannot be read: {type(error).__name__}", 0x0106, 400) from None
    if any(not text.isascii() for text in _find_texts(model)):
        model["00080005"] = {"vr": "CS", "Value": [UTF_8]}
    return dict(sorted(model.items()))


def dump(model: dict[str, Any]) -> str:
    """DICOM JSON text, as short as it may be."""
    return json.dumps(model, ensure_ascii=False, separators=(",", ":"))


def find_row(db: Connection, uid: str) -> Row[Any] | None:
    """The row with this uid, of a deleted one too."""
    return db.execute(select(t.workitem).where(t.workitem.c.uid == uid)).first()


def tell(db: Connection, uid: str, events: list[Event], at: float, subscribers: list[str] | None = None) -> None:
    """Writes `events` down for those who subscribe to the workitem; subscribers: for these instead."""
    if subscribers is None:
        s = t.subscription
        subscribers = list(db.execute(select(s.c.subscriber).where(s.c.workitem_uid == uid)).scalars())
    if not subscribers:
        return
    for report, information in events:
        row = {"workitem_uid": uid, "report": int(Report(report)), "model": dump(to_model(information)), "at": at}
        (number,) = db.execute(insert(t.event).values(row)).inserted_primary_key or (0,)
        db.execute(insert(t.notice), [{"subscriber": name, "number": number} for name in subscribers])


def tell_states(db: Connection, workitems: Sequence[tuple[str, str]], subscriber: str, at: float) -> None:
    """The state of each (uid, model) as it is, for one subscriber: of the whole worklist perhaps, so all at once."""
    last = db.exec_driver_sql("SELECT seq FROM sqlite_sequence WHERE name = 'event'").scalar() or 0
    events = [
        {"number": number, "workitem_uid": uid, "report": int(Report.STATE), "model": _state(model), "at": at}
        for number, (uid, model) in enumerate(workitems, int(last) + 1)
    ]
    if events:
        db.execute(insert(t.event), events)
        db.execute(insert(t.notice), [{"subscriber": subscriber, "number": event["number"]} for event in events])


def _state(text: str) -> str:
    """`reports.report_state` of a model as it is stored."""
    model = json.loads(text)
    items = model.get(PROGRESS_TAG, {}).get("Value", ())
    told = {tag: item[tag] for item in items for tag in TOLD_TAGS if item.get(tag, {}).get("Value")}
    return dump(dict(sorted(({tag: model[tag] for tag in STATE_TAGS} | told).items())))


def _prune(element: dict[str, Any]) -> dict[str, Any]:
    """An attribute without a value has no Value (PS3.18 F.2.5)."""
    values = element.get("Value")
    if values is None:
        return element
    if element["vr"] == "SQ":
        values = [{tag: _prune(inner) for tag, inner in item.items()} for item in values]
    if not values:
        return {"vr": element["vr"]}
    return element | {"Value": values}


def _find_texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _find_texts(one)]
