"""What PS3.3 says of the attributes of the objects that this node sends, read from tables/iods.json.

The file is made by deploy/make_iod_tables.py and holds nothing of our own; it is read once, and an item table only
when an object first needs it.
"""

import json
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

PLACE = Path(__file__).parent / "tables" / "iods.json"
STRICTNESS = ["1", "2", "1C", "2C", "3"]


@dataclass(slots=True, eq=False)
class Rule:
    """What holds for one attribute at one place.

    tag, keyword: which. type: "1", "1C", "2", "2C" or "3" (PS3.5 7.4). vrs: the VRs it may have. vm: least and most
    values, None without limit, and the step (PS3.6). count: least and most items. values: the enumerated ones, None
    where there are none. items: what holds in its items, None where the tables stop.
    """

    tag: int
    keyword: str
    type: str
    vrs: frozenset[str]
    vm: tuple[int, int | None, int]
    count: tuple[int, int | None]
    values: frozenset[str | int] | None
    items: "Table | None"


@dataclass(slots=True, eq=False)
class Table:
    """The attributes that an item or a module may have, and those that it must have: tag -> Rule."""

    rules: dict[int, Rule] = field(default_factory=dict)
    required: tuple[Rule, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Iod:
    """An IOD: its modules (name, usage M, C or U, table) and all their attributes in one table, which requires none.

    own: module -> the tags that no other module of the IOD has.
    """

    name: str
    modules: tuple[tuple[str, str, Table], ...]
    whole: Table
    own: dict[str, frozenset[int]]


@cache
def get_iod(sop_class_uid: str) -> Iod:
    """The IOD of a SOP class; raises KeyError when it is none that the tables hold."""
    entry = _read()["iods"][sop_class_uid]
    modules = tuple((name, usage, _table(_read()["modules"][name])) for name, usage in entry["modules"])
    times = Counter(tag for _, _, table in modules for tag in table.rules)
    own = {name: frozenset(tag for tag in table.rules if times[tag] == 1) for name, _, table in modules}
    return Iod(entry["name"], modules, _whole(modules), own)


def find_sop_classes() -> list[str]:
    """The SOP classes whose IODs the tables hold."""
    return sorted(_read()["iods"])


@cache
def _read() -> dict[str, Any]:
    tables: dict[str, Any] = json.loads(PLACE.read_text("utf-8"))
    return tables


@cache
def _table(number: int) -> Table:
    table = Table()
    for keyword, entry in _read()["items"][number].items():
        kind, facts = (entry, {}) if isinstance(entry, str) else entry
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise KeyError(f"{keyword} in {PLACE.name} is not in the dictionary")
        table.rules[tag] = _rule(tag, keyword, kind, facts, table)
    table.required = tuple(rule for rule in table.rules.values() if rule.type in {"1", "2"})
    return table


def _rule(tag: int, keyword: str, kind: str, facts: dict[str, Any], table: Table) -> Rule:
    """`facts` are count, values, items (the number of a table) and self: its items are as the one it stands in."""
    items = table if facts.get("self") else _table(facts["items"]) if "items" in facts else None
    low, high = facts.get("count", (0, None))
    return Rule(
        tag,
        keyword,
        kind,
        frozenset(dictionary_VR(tag).split(" or ")),
        _multiplicity(dictionary_VM(tag)),
        (max(low, 1) if kind in {"1", "1C"} else 0 if kind != "3" else low, high),
        frozenset(facts["values"]) if "values" in facts else None,
        items,
    )


def _multiplicity(text: str) -> tuple[int, int | None, int]:
    """A VM of PS3.6 ("1", "1-3", "2-2n", "1-n or 1") as least, most and step."""
    low, _, high = text.split(" or ", maxsplit=1)[0].partition("-")
    if not high:
        return int(low), int(low), 1
    if high.endswith("n"):
        return int(low), None, int(high[:-1] or 1)
    return int(low), int(high), 1


def _whole(modules: tuple[tuple[str, str, Table], ...]) -> Table:
    """All attributes of all modules: of two rules the narrower values and count, and the larger table of items."""
    whole = Table()
    for _, _, table in modules:
        for tag, rule in table.rules.items():
            known = whole.rules.get(tag)
            whole.rules[tag] = rule if known is None else _merge(known, rule)
    return whole


def _merge(one: Rule, other: Rule) -> Rule:
    stricter, laxer = sorted((one, other), key=lambda rule: STRICTNESS.index(rule.type))
    values = one.values & other.values if one.values and other.values else one.values or other.values
    items = max((one.items, other.items), key=lambda table: len(table.rules) if table else 0)
    highs = [rule.count[1] for rule in (one, other) if rule.count[1] is not None]
    count = (stricter.count[0], min(highs) if highs else None)
    return Rule(stricter.tag, stricter.keyword, stricter.type, laxer.vrs, stricter.vm, count, values, items)
