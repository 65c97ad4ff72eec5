"""Values and segments of HL7 version 2.5 (chapters 2 and 2A), in UTF-8, with the delimiters that everybody uses."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from unicodedata import category

import hl7

from pipelines.terms import Code

ENCODING = "^~\\&"
VERSION = "2.5"
UTF_8 = "UNICODE UTF-8"
"""MSH-18 (table 0211)."""

ESCAPES = {"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"}
BREAK = "\\.br\\"
REPRESENTATIONS = ("A", "I", "P")
"""Of the groups of a PN: alphabetic, ideographic, phonetic (table 4000)."""


def escape(text: str) -> str:
    """`text` as a value: delimiters escaped, lines broken (2.7), other control characters left out: they would end a
    segment or a block."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    kept = ("".join(c for c in line if category(c) != "Cc") for line in lines)
    return BREAK.join("".join(ESCAPES.get(c, c) for c in line) for line in kept)


def join(*parts: str) -> str:
    """Components that are escaped already, without empty ones at the end."""
    return "^".join(parts).rstrip("^")


def repeat(values: Iterable[str]) -> str:
    """Repetitions of a field."""
    return "~".join(value for value in values if value)


def coded(code: Code | None) -> str:
    """CE or CWE: identifier, text, coding system. DICOM's designators are those of table 0396, or local as 99..."""
    return join(escape(code.value), escape(code.meaning), escape(code.scheme)) if code is not None else ""


def identifier(value: str, authority: str = "", universal_id: str = "") -> str:
    """EI: an identifier and who assigned it; "" without a value."""
    kind = "ISO" if universal_id else ""
    return join(escape(value), escape(authority), escape(universal_id), kind) if value else ""


def patient_name(name: str) -> str:
    """XPN repetitions of a PN: the alphabetic group first, then ideographic and phonetic ones."""
    groups = zip(name.split("="), REPRESENTATIONS, strict=False)
    return repeat(join(*_order(group), "", "", mark) for group, mark in groups if group.strip("^ "))


def person(name: str) -> str:
    """XCN of a PN, its alphabetic group, without an id."""
    group = name.split("=", maxsplit=1)[0]
    return join("", *_order(group)) if group.strip("^ ") else ""


def _order(group: str) -> list[str]:
    """Family, given, middle, suffix, prefix: HL7 has the last two the other way round (PS3.5 6.2.1)."""
    family, given, middle, prefix, suffix = (escape(part.strip()) for part in (group.split("^") + [""] * 5)[:5])
    return [family, given, middle, suffix, prefix]


def number(value: float) -> str:
    """NM: never with an exponent."""
    return format(Decimal(repr(float(value))), "f").removesuffix(".0")


def segment(name: str, fields: Mapping[int, str]) -> hl7.Segment:
    """A segment whose fields, by number, hold what is escaped already."""
    last = max((number for number, value in fields.items() if value), default=0)
    values = [name, *(fields.get(n, "") for n in range(1, last + 1))]
    return hl7.Segment("|", [hl7.Field("~", [value]) for value in values])


def message(segments: Iterable[hl7.Segment]) -> bytes:
    """The whole message as it goes out."""
    return str(hl7.Message("\r", list(segments))).rstrip("\r").encode("utf-8") + b"\r"
