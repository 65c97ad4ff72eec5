"""Output labels as coded concepts: the table beside this file, and over it the bundle's own concepts.toml."""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pipelines.bundles.card import Card, Task
from pipelines.errors import NeedsConcepts
from pipelines.terms import Code

SIDES = {"right": Code("24028007", "SCT", "Right"), "left": Code("7771000", "SCT", "Left")}
HEAD = """\
# What each output of this bundle is. Write "value scheme meaning", or a table
#   { code = "64033007 SCT Kidney", laterality = "left", site = "...", lesion = true }
# An output with "" has no concept yet, and the pipeline's jobs are refused until it has; with ignore = true it is left
# out of the results. Only what has lesion = true, no part of a sound body, may a result call absent.
# After a change: wetread pipelines map NAME
"""


@dataclass(frozen=True, slots=True)
class Concept:
    """kind: what it is. lesion: it is no part of a sound body."""

    kind: Code
    laterality: Code | None = None
    site: Code | None = None
    lesion: bool = False


Entry = str | dict[str, Any]


@cache
def _read_table() -> Mapping[str, Entry]:
    table: dict[str, Entry] = tomllib.loads(Path(__file__).with_name("concepts.toml").read_text("utf-8"))
    return table


def name_outputs(card: Card) -> list[str]:
    """Every label that must have a concept: the outputs, and for classes also the question that they answer."""
    labels = list(card.outputs.values()) or [card.title]
    return [card.title, *labels] if card.task is Task.CLASSIFICATION else labels


def propose(card: Card) -> dict[str, Entry]:
    """Label -> what the table says of it; "" for a label that it does not know."""
    return {label: _look_up(label, card.title) for label in name_outputs(card)}


def _look_up(label: str, title: str) -> Entry:
    table = _read_table()
    name = " ".join(re.split(r"[\W_]+", label.lower())).strip()
    for whole in (f"{title.lower()} {name}", name):
        if whole in table:
            return table[whole]
    words = name.split()
    side = next((word for word in words if word in SIDES), "")
    entry = table.get(" ".join(word for word in words if word not in SIDES), "")
    if not entry or not side:
        return entry
    return {**(entry if isinstance(entry, dict) else {"code": entry}), "laterality": side}


def write_concepts(entries: Mapping[str, Entry], path: Path) -> None:
    """concepts.toml of an installed bundle."""
    lines = [f"{json.dumps(label, ensure_ascii=False)} = {_to_toml(entry)}" for label, entry in entries.items()]
    path.write_text(HEAD + "\n".join(lines) + "\n", "utf-8")


def _to_toml(entry: Entry) -> str:
    if isinstance(entry, str):
        return json.dumps(entry, ensure_ascii=False)
    return "{ " + ", ".join(f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in entry.items()) + " }"


def read_concepts(path: Path, card: Card) -> tuple[dict[str, Concept], tuple[str, ...]]:
    """(label -> concept, labels that have none yet). A label with ignore = true is in neither.

    Raises NeedsConcepts, naming label and fault, for an entry that is no concept, and where so much is ignored that no
    result could say anything: the question of a classification, or all that there is.
    """
    try:
        entries: dict[str, Entry] = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise NeedsConcepts(f"{path.name} cannot be read: {error}") from error
    found: dict[str, Concept] = {}
    lacking: list[str] = []
    for label in name_outputs(card):
        entry = entries.get(label, "")
        if isinstance(entry, dict) and entry.get("ignore") is True:
            if label == card.title and card.task is Task.CLASSIFICATION:
                raise NeedsConcepts(f"{path.name}: {label!r} is the question that its classes answer: it needs a code")
            continue
        if not entry or (isinstance(entry, dict) and not entry.get("code")):
            lacking.append(label)
            continue
        try:
            found[label] = _to_concept({"code": entry} if isinstance(entry, str) else dict(entry))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise NeedsConcepts(f"{path.name}: {label!r}: {error}") from error
    if not lacking and not found.keys() - ({card.title} if card.task is Task.CLASSIFICATION else set()):
        raise NeedsConcepts(f"{path.name}: every output is ignored, so no result could say anything")
    return found, tuple(lacking)


def _to_concept(entry: dict[str, Any]) -> Concept:
    side = entry.pop("laterality", "")
    site = entry.pop("site", "")
    concept = Concept(
        Code.parse(entry.pop("code")),
        SIDES[side] if side else None,
        Code.parse(site) if site else None,
        entry.pop("lesion", False) is True,
    )
    if entry:
        raise ValueError(f"unknown {', '.join(entry)}")
    return concept
