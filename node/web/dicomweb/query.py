"""The parameters of a search (PS3.18 8.3.4, 10.6.1.2) as keys, fields and a page."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pydicom.datadict import tag_for_keyword

from node.dicom.matching import Match, make_match
from node.dicom.model_values import find_vr
from node.web.dicomweb.problem import Problem

ALL = "all"
IGNORED = frozenset({"accept", "charset", "emptyvaluematching", "multiplevaluematching", "fuzzymatching"})
"""Parameters that change nothing here; see `Query.is_fuzzy` for the last one."""

TAG = re.compile(r"[0-9A-Fa-f]{8}")
MOST_KEYS = 100


@dataclass(frozen=True, slots=True)
class Query:
    """matches: what is asked. fields: tags to be returned beside what always is; `wants_all`: everything there is.

    limit: None for as many as the node gives at once. is_fuzzy: fuzzy matching was asked for, which there is none of.
    """

    matches: tuple[Match, ...]
    fields: frozenset[str]
    wants_all: bool
    limit: int | None
    offset: int
    is_fuzzy: bool


def read_query(parameters: Sequence[tuple[str, str]]) -> Query:
    """Raises Problem 400 naming the parameter at fault."""
    if len(parameters) > MOST_KEYS:
        raise Problem(400, f"more than {MOST_KEYS} parameters")
    matches: list[Match] = []
    fields: set[str] = set()
    pages = {"limit": "", "offset": "0"}
    for name, text in parameters:
        if name in pages:
            pages[name] = text
        elif name == "includefield":
            fields |= {ALL if field == ALL else read_path(field)[0] for field in text.split(",") if field}
        elif name not in IGNORED:
            path = read_path(name)
            fields.add(path[0])
            if (match := _read_match(path, text)) is not None:
                matches.append(match)
    limit = _read_count("limit", pages["limit"]) if pages["limit"] else None
    fuzzy = any(name == "fuzzymatching" and text.lower() == "true" for name, text in parameters)
    given = frozenset(fields - {ALL})
    return Query(tuple(matches), given, ALL in fields, limit, _read_count("offset", pages["offset"]), fuzzy)


def _read_match(path: tuple[str, ...], text: str) -> Match | None:
    try:
        return make_match(path, find_vr(path[-1]), text)
    except ValueError as error:
        raise Problem(400, str(error)) from None


def read_path(name: str) -> tuple[str, ...]:
    """An attribute by keyword or tag, or a path to one within sequences, as 8 hexadecimal digits each."""
    return tuple(_read_tag(part, name) for part in name.split("."))


def _read_tag(part: str, name: str) -> str:
    if TAG.fullmatch(part):
        return part.upper()
    tag = tag_for_keyword(part)
    if tag is None:
        raise Problem(400, f"{name[:64]!r} is no parameter, keyword or tag")
    return f"{tag:08X}"


def _read_count(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9:
        raise Problem(400, f"{name} is no number of results")
    return int(text)
