"""QIDO-RS: which studies, series and instances are here (PS3.18 10.6).

In:  a Query at a level, within a study or series.   Out: DICOM JSON or XML of what matches, newest studies first.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from sqlite3 import Row
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from node.dicom.matching import Match
from node.web.dicomweb.attributes import ALWAYS, MULTIPLE, OF_ROW, Level, find_column, find_level
from node.web.dicomweb.index import TABLES, Index, dump_model, load_model
from node.web.dicomweb.indexer import Indexer
from node.web.dicomweb.models import answer_models, choose_form
from node.web.dicomweb.query import Query, read_query

SOURCES = {
    Level.STUDY: "study",
    Level.SERIES: "series JOIN study USING (study_uid)",
    Level.INSTANCE: "instance JOIN series USING (study_uid, series_uid) JOIN study USING (study_uid)",
}
COLUMNS = {
    Level.STUDY: "study.study_uid, study.brief AS brief_study, study.attributes AS of_study, study.modalities,"
    " study.classes, study.series AS series_of_study, study.instances AS instances_of_study",
    Level.SERIES: "series.series_uid, series.brief AS brief_series, series.attributes AS of_series,"
    " series.instances AS instances_of_series",
    Level.INSTANCE: "instance.sop_instance_uid, instance.syntax, instance.brief AS brief_instance,"
    " instance.model AS of_instance",
}
ORDERS = {
    Level.STUDY: "study.study_date DESC, study.study_time DESC, study.study_uid",
    Level.SERIES: "series.study_uid, CAST(series.series_number AS INTEGER), series.series_uid",
    Level.INSTANCE: "instance.study_uid, instance.series_uid, instance.position, instance.sop_instance_uid",
}
KEYS = {Level.SERIES: ("study_uid",), Level.INSTANCE: ("study_uid", "series_uid")}
MODELS = {Level.STUDY: "attributes", Level.SERIES: "attributes", Level.INSTANCE: "model"}


class Search:
    """Answers searches from `index`. most: results in one answer."""

    def __init__(self, index: Index, indexer: Indexer, most: int, find_root: Callable[[Request], str]) -> None:
        self._index, self._indexer = index, indexer
        self._most = most
        self._find_root = find_root

    def answer(self, request: Request, level: Level) -> Response:
        """200 with what was found, 204 with nothing."""
        form = choose_form(request)
        query = read_query(request.query_params.multi_items())
        root = self._find_root(request)
        within = [request.path_params[name] for name in ("study", "series") if name in request.path_params]
        notes = [] if self._indexer.catch_up() else ["Some of what was received lately is not indexed yet."]
        plan = _make_plan(query, level, within)
        notes += plan.notes
        limit = self._most if query.limit is None else min(query.limit, self._most)
        sql, parameters = plan.to_sql(limit + 1, query.offset)
        rows = list(self._index.search(sql, parameters, plan.others))
        if len(rows) > limit and limit != query.limit:
            notes.append("The number of results exceeded the maximum supported by the server."
                         " Additional results can be requested.")  # fmt: skip
        headers = {"Warning": ", ".join(f'299 {root}: "{note}"' for note in notes)} if notes else {}
        if not rows[:limit]:
            return Response(status_code=204, headers=headers)
        return answer_models(form, list(_make_models(rows[:limit], level, query, root, len(within))), headers)


@dataclass(slots=True)
class Plan:
    """A query as SQL. others: what only the attributes tell, by their number. notes: what the client is warned of."""

    level: Level
    conditions: list[str] = field(default_factory=list)
    parameters: list[Any] = field(default_factory=list)
    others: list[Match] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_sql(self, limit: int, offset: int) -> tuple[str, list[Any]]:
        """With its parameters; each row has the columns of `level` and of those above."""
        columns = ", ".join(COLUMNS[level] for level in Level if level <= self.level)
        where = f"WHERE {' AND '.join(self.conditions)}" if self.conditions else ""
        sql = f"SELECT {columns} FROM {SOURCES[self.level]} {where} ORDER BY {ORDERS[self.level]} LIMIT ? OFFSET ?"  # noqa: S608
        return sql, [*self.parameters, limit, offset]

    def add(self, match: Match, level: Level) -> str:
        """The condition for `match`, whose parameters are added; "" when it cannot be asked."""
        column = find_column(level, match.path)
        if column is not None:
            sql, parameters = match.to_sql(f"{TABLES[level]}.{column}", multiple=column in MULTIPLE)
            self.parameters += parameters
            return sql
        if level == Level.INSTANCE and self.level != Level.INSTANCE:
            self.notes.append(f"{'.'.join(match.path)} is an attribute of instances and was not matched.")
            return ""
        self.others.append(match)
        return f"fits({len(self.others) - 1}, {TABLES[level]}.{MODELS[level]})"


def _make_plan(query: Query, level: Level, within: Sequence[str]) -> Plan:
    plan = Plan(level)
    if query.is_fuzzy:
        plan.notes.append("The fuzzymatching parameter is not supported. Only literal matching has been performed.")
    for name, uid in zip(("study_uid", "series_uid"), within, strict=False):
        plan.conditions.append(f"{TABLES[level]}.{name} = ?")
        plan.parameters.append(uid)
    below: dict[Level, list[Match]] = {}
    for match in query.matches:
        own = find_level(match.path)
        if own > level:
            below.setdefault(own, []).append(match)
        elif condition := plan.add(match, own):
            plan.conditions.append(condition)
    for lower, matches in below.items():
        asked = [condition for match in matches if (condition := plan.add(match, lower))]
        if not asked:
            continue
        joined = [f"{TABLES[lower]}.{key} = {TABLES[level]}.{key}" for key in KEYS[lower] if key in _keys(level)]
        plan.conditions.append(f"EXISTS (SELECT 1 FROM {TABLES[lower]} WHERE {' AND '.join(joined + asked)})")  # noqa: S608
    return plan


def _keys(level: Level) -> tuple[str, ...]:
    return ("study_uid",) if level == Level.STUDY else ("study_uid", "series_uid")


def _make_models(rows: Sequence[Row], level: Level, query: Query, root: str, depth: int) -> Iterator[bytes]:
    """What is known of each row: of its level, and of those above that the address did not choose one of."""
    told = list(Level)[depth : level + 1]
    is_usual = len(told) == 1 and not query.wants_all and not query.fields - OF_ROW.union(ALWAYS[level])
    for row in rows:
        held = row[f"brief_{TABLES[level]}"] if is_usual else dump_model(_pick(row, level, query, depth))[1:-1]
        computed = dump_model(_compute(row, level, query, root, depth))[1:-1]
        yield f"{{{held}{',' * bool(held)}{computed}}}".encode()


def _pick(row: Row, level: Level, query: Query, depth: int) -> dict[str, Any]:
    """The attributes that are always told, and those that were asked for."""
    model: dict[str, Any] = {}
    for one in Level:
        if one > level:
            break
        held = load_model(row[f"of_{TABLES[one]}"])
        always = frozenset(ALWAYS[one]) if one >= depth else frozenset()
        model |= {tag: held[tag] for tag in held if query.wants_all or tag in always or tag in query.fields}
    return {tag: model[tag] for tag in model if tag not in OF_ROW}


def _compute(row: Row, level: Level, query: Query, root: str, depth: int) -> dict[str, Any]:
    """Attributes that no instance holds (PS3.18 tables 10.6.3-3 to 10.6.3-5)."""
    address = f"{root}/studies/{row['study_uid']}"
    found: dict[str, Any] = {"0020000D": _value("UI", row["study_uid"]), "00080056": _value("CS", "ONLINE")}
    if depth == 0 or query.wants_all or query.fields & {"00080061", "00080062", "00201206", "00201208"}:
        found["00080061"] = _value("CS", *row["modalities"].strip("\\").split("\\"))
        found["00201206"] = _value("IS", row["series_of_study"])
        found["00201208"] = _value("IS", row["instances_of_study"])
        if query.wants_all or "00080062" in query.fields:
            found["00080062"] = _value("UI", *row["classes"].strip("\\").split("\\"))
    if level >= Level.SERIES:
        address += f"/series/{row['series_uid']}"
        found["0020000E"] = _value("UI", row["series_uid"])
        found["00201209"] = _value("IS", row["instances_of_series"])
    if level == Level.INSTANCE:
        address += f"/instances/{row['sop_instance_uid']}"
        found["00083002"] = _value("UI", row["syntax"])
    return found | {"00081190": _value("UR", address)}


def _value(vr: str, *values: str | int) -> dict[str, Any]:
    present = [value for value in values if value != ""]
    return {"vr": vr, "Value": present} if present else {"vr": vr}
