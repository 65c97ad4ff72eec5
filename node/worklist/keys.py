"""By what workitems are found: keys of a C-FIND identifier or of a search by HTTP, as conditions on rows.

In:  keys.   Out: a condition in SQL for those that have a column, matches on the model for the others.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydicom import Dataset
from sqlalchemy import ColumnElement, TextClause, bindparam, text

from node.dicom.matching import Match, make_match
from node.dicom.model_values import MARK, Model, find_values, find_vr, to_text
from node.model.workitem import StepPriority

COLUMNS = {
    "00080018": "uid",
    "00741000": "state",
    "00741200": "priority",
    "00741204": "label",
    "00741202": "worklist_label",
    "00404041": "readiness",
    "00404005": "start",
    "00404025.00080100": "station",
    "00404018.00080100": "code",
    "0020000D": "study_uid",
    "00100020": "patient_id",
    "00100010": "patient_name",
    "0040A370.00080050": "accession",
}
"""Path of a key -> its column."""

MULTIPLE = frozenset({"station", "code", "patient_name", "accession"})
"""Columns that may hold several values."""

UNASKED = frozenset({"00080005", "00080052", "00080201", "00081195"})
"""Of an identifier: how it is to be read, and the Transaction UID, by which nothing is ever found (PS3.4 CC.2.7.3)."""


BULKY = ("00404021", "00741216")
"""Sequences that list many objects: inputs, and what was performed."""

LEFT_OUT = frozenset({*BULKY, *COLUMNS, "00080005", "00080016"})

SCANNED = frozenset({"patient_name", "accession", "label"})
"""Columns of which few rows hold what is asked for, and no index can say at once which: theirs is read as a whole."""

IN_INDEX = "workitem.uid IN (SELECT uid FROM workitem WHERE"

PLAIN = frozenset({"AE", "AS", "CS", "LO", "LT", "SH", "ST", "UC", "UI", "UR", "UT"})
"""VRs whose values stand in a model as they are compared, but for padding around them."""


def find_columns(model: Model) -> dict[str, Any]:
    """{column: what it holds} for the row of a workitem with these attributes. lean: what no other column says."""
    paths = {name: path.split(".") for path, name in COLUMNS.items() if name != "uid"}
    values: dict[str, Any] = {n: to_text(find_vr(p[-1]), find_values(model, p)) for n, p in paths.items()}
    ranks = {priority.value: rank for rank, priority in enumerate(StepPriority)}
    rest = {tag: element for tag, element in model.items() if element.keys() - {"vr"} and tag not in LEFT_OUT}
    lean = json.dumps(rest, ensure_ascii=False, separators=(",", ":"))
    return values | {"rank": ranks.get(values["priority"], len(ranks)), "lean": lean}


def read_keys(identifier: Dataset) -> list[tuple[str, str]]:
    """(path, text) of every attribute of `identifier` that asks something, sequences by their first item; several
    values stand between backslashes."""
    return list(_walk(identifier, ()))


def _walk(identifier: Dataset, above: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for element in identifier:
        tag = f"{element.tag:08X}"
        if tag in UNASKED or element.is_empty:
            continue
        if element.VR == "SQ":
            yield from _walk(element.value[0], (*above, tag))
        else:
            values = element.value if element.VM > 1 else [element.value]
            yield ".".join((*above, tag)), MARK.join(str(value) for value in values)


def make_matches(keys: Sequence[tuple[str, str]]) -> list[Match]:
    """The matches that `keys` ask for. Raises ValueError for a key that cannot be matched so."""
    paths = [(path.split("."), value) for path, value in keys]
    matches = [make_match(path, find_vr(path[-1]), value) for path, value in paths]
    return [match for match in matches if match is not None]


def to_condition(matches: Sequence[Match]) -> tuple[ColumnElement[bool] | TextClause | None, list[Match]]:
    """(a condition on rows, None when there is none; the matches that no column answers)."""
    parts: list[str] = []
    values: dict[str, str] = {}
    others = []
    for match in matches:
        column = COLUMNS.get(".".join(match.path))
        if column is None:
            others.append(match)
            sql, parameters = _find_words(match)
        else:
            sql, parameters = match.to_sql(column, multiple=column in MULTIPLE)
            sql = f"{IN_INDEX} {sql})" if column in SCANNED else sql
        for parameter in parameters:
            name = f"k{len(values)}"
            sql = sql.replace("?", f":{name}", 1)
            values[name] = parameter
        parts += [sql] if sql else []
    if not parts:
        return None, others
    return text(" AND ".join(parts)).bindparams(*(bindparam(name, value) for name, value in values.items())), others


def _find_words(match: Match) -> tuple[str, list[str]]:
    """A condition that every row meets whose model fits `match`, and others perhaps: that what is asked for stands in
    it somewhere. ("", []) where nothing of the kind can be said."""
    texts = (match.first,) if match.vr == "DA" and match.first == match.last else match.texts
    plain = match.vr in PLAIN or match.vr == "DA"
    words = [max(re.split(r"[*?]", text), key=len) for text in texts]
    if not plain or not words or match.path[0] in BULKY or not all(words):
        return "", []
    found = " OR ".join("instr(lean, ?) > 0" for _ in words)
    return f"{IN_INDEX} lean = '' OR {found})", [json.dumps(word, ensure_ascii=False)[1:-1] for word in words]


def fits(matches: Sequence[Match], model: Mapping[str, Any]) -> bool:
    """Whether every match does."""
    return all(match.fits(model) for match in matches)
