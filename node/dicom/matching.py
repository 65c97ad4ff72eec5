"""Attribute matching (PS3.18 8.3.4.1, PS3.4 C.2.2.2) of a value in a model, and of a column in SQL."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from node.dicom.model_values import MARK, Model, find_values, fold, fold_name, to_texts

RANGES = frozenset({"DA", "TM", "DT"})
WILD = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
LISTS = WILD - {"LT", "ST", "UT"}
"""VRs whose values several may be given of, between backslashes; of UIDs between commas too."""
DIGITS = {
    "DA": re.compile(r"\d{8}"),
    "TM": re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?"),
    "DT": re.compile(r"\d{4,14}(\.\d{1,6})?([+-]\d{4})?"),
}


@dataclass(frozen=True, slots=True)
class Match:
    """One key. texts: it matches when one of them does; wild: as a pattern. first, last: of a range, "" for open."""

    path: tuple[str, ...]
    vr: str
    texts: tuple[str, ...] = ()
    is_range: bool = False
    first: str = ""
    last: str = ""

    def fits(self, model: Model) -> bool:
        """Whether one of the values in `model` matches."""
        found = [text for value in find_values(model, self.path) for text in to_texts(self.vr, value)]
        if self.is_range:
            return any(self._is_within(text) for text in found)
        patterns = [to_pattern(text) for text in self.texts if _has_pattern(self.vr, text)]
        return any(one in self.texts or any(pattern.fullmatch(one) for pattern in patterns) for one in found)

    def to_sql(self, column: str, *, multiple: bool = False) -> tuple[str, list[str]]:
        """The same as a condition on a column that `model_values.to_text` filled, with its parameters.
        multiple: the column may hold several values between backslashes."""
        if self.is_range:
            low = [f"{column} >= ?"] * bool(self.first)
            end = column if self.vr == "DA" else f"substr({column}, 1, {len(self.last)})"  # an index knows no substr
            high = [f"{end} <= ?"] * bool(self.last)
            bounds = [text for text in (self.first, self.last) if text]
            return f"({column} != '' AND {' AND '.join(low + high) or '1'})", bounds
        conditions, parameters = [], []
        for text in self.texts:
            wild = _has_pattern(self.vr, text)
            pattern = to_glob(text) if wild else text
            conditions.append(f"{column} GLOB ?" if wild else f"{column} = ?")
            parameters.append(pattern)
            if multiple:
                conditions.append(f"{column} GLOB ?")
                parameters.append(f"*{MARK}{to_glob(text) if wild else _escape(text)}{MARK}*")
        return f"({' OR '.join(conditions)})", parameters

    def _is_within(self, text: str) -> bool:
        return bool(text) and text >= self.first and (not self.last or text[: len(self.last)] <= self.last)


def make_match(path: Sequence[str], vr: str, text: str) -> Match | None:
    """What `text` asks of the attribute at `path`; None for universal matching, which asks nothing.

    Raises ValueError for a range that is none, or a sequence matched by a text.
    """
    where = ".".join(path)
    if vr == "SQ":
        if text:
            raise ValueError(f"{where} is a sequence: ask for an attribute within it, as in {where}.00080100")
        return None
    if not text or (vr in WILD and not text.strip("*")):
        return None
    if vr in RANGES:
        return _make_range(tuple(path), vr, text)
    parts = re.split(r"[,\\]", text) if vr == "UI" else text.split(MARK) if vr in LISTS else [text]
    texts = tuple(fold_name(part) if vr == "PN" else fold(vr, part) for part in parts if part.strip())
    if vr == "UI" and any(set(part) - set("0123456789.") for part in texts):
        raise ValueError(f"{where}: what is asked for is no UID")
    return Match(tuple(path), vr, texts)


def _make_range(path: tuple[str, ...], vr: str, text: str) -> Match:
    """(PS3.4 C.2.2.2.5); what is less precise stands for all that begins so."""
    offset = re.fullmatch(r"\d{4,14}(?:\.\d{1,6})?-(\d{4})", text) if vr == "DT" else None
    first, dash, last = text.partition("-")
    if not dash or (offset is not None and int(offset[1]) <= 1200):
        first = last = text
    if not (first or last) or any(end and not DIGITS[vr].fullmatch(end) for end in (first, last)):
        raise ValueError(f"{'.'.join(path)}: what is asked for is no {vr} and no range of it")
    return Match(path, vr, is_range=True, first=first, last=last)


def _has_pattern(vr: str, text: str) -> bool:
    return vr in WILD and ("*" in text or "?" in text)


def to_pattern(text: str) -> re.Pattern[str]:
    """`*` any characters, `?` any one (PS3.4 C.2.2.2.4).

    What stands between two `*` is taken where it is first found and never looked for again: the time that a text takes
    grows with its length, not with a power of it for each `*`.
    """
    first, *others = (re.escape(part).replace(r"\?", ".") for part in text.split("*"))
    between = "".join(f"(?>.*?{part})" for part in others[:-1] if part)
    return re.compile(first + between + "".join(f".*{part}" for part in others[-1:]), re.DOTALL)


def to_glob(text: str) -> str:
    """The same for SQLite's GLOB, to which [ is special too."""
    return text.replace("[", "[[]")


def _escape(text: str) -> str:
    return re.sub(r"([*?\[])", r"[\1]", text)
