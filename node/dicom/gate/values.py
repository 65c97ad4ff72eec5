"""Whether one value is what its VR allows: length, repertoire, range and form (PS3.5 6.1, 6.2)."""

import math
import re
from datetime import datetime
from typing import Any

from pydicom import config
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import validate_value

LINE = {"AE", "CS", "LO", "PN", "SH", "UC", "UI", "UR"}
PARAGRAPH = {"LT", "ST", "UT"}
DECIMAL = {"FD", "FL", "DS"}
MOMENTS = {
    "DA": (8, "%Y%m%d", r""),
    "TM": (6, "%H%M%S", r"(\.\d{1,6})?"),
    "DT": (14, "%Y%m%d%H%M%S", r"(\.\d{1,6})?([+-]\d{4})?"),
}
"""VR -> length and form of a day or time in full, and what may follow."""

CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")
CONTROL_IN_PARAGRAPH = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
"""What a line of text may not hold; a paragraph may hold TAB, LF, FF and CR (PS3.5 6.1.3)."""


def list_values(value: Any) -> list[Any]:
    """The values of an element's `value`; none when it is empty."""
    if isinstance(value, MultiValue | list | tuple):
        return list(value)
    return [] if value is None or value in ("", b"") else [value]


def find_fault(vr: str, value: Any, unicode: bool) -> str | None:
    """What is wrong with one value of that VR, in words that do not repeat it; None when nothing is.

    unicode: the object's character set is UTF-8.
    """
    text = str(value) if vr not in {"US", "UL", "SS", "SL", "FD", "FL", "AT"} else ""
    plain: Any = text if vr in {"DS", "IS", "PN", "UI", "DA", "TM", "DT"} else value
    try:
        validate_value(vr, plain, config.RAISE)
    except (ValueError, TypeError):
        return f"is no {vr}"
    if vr in DECIMAL and not (isinstance(value, int | float) and math.isfinite(value)):
        return "is not a finite number"
    if vr == "IS" and not -(2**31) <= int(value) < 2**31:
        return "is beyond 32 bits"
    if not text.isascii() and (fault := _repertoire(text, vr, unicode)):
        return fault
    return _form(vr, text)


def _repertoire(text: str, vr: str, unicode: bool) -> str | None:
    if not unicode or vr in {"AE", "CS", "UI", "UR", "DS", "IS", "DA", "TM", "DT", "AS"}:
        return "has characters beyond its character set"
    try:
        text.encode()
    except UnicodeError:
        return "has characters that UTF-8 cannot write"
    return None


def _form(vr: str, text: str) -> str | None:
    if vr in LINE and CONTROL.search(text):
        return "has control characters"
    if vr in PARAGRAPH and CONTROL_IN_PARAGRAPH.search(text):
        return "has control characters"
    if vr == "UI" and not UID(text).is_valid:
        return "is not a UID"
    if vr in {"DA", "TM"} and "-" in text:
        return "is a range"
    return None


def is_moment(vr: str, text: str) -> bool:
    """Whether a value of VR DA, TM or DT is a day of the calendar and a time of the day, in full."""
    length, form, rest = MOMENTS[vr]
    if len(text) < length or not text[:length].isdecimal():
        return False
    try:
        datetime.strptime(f"{text[:length]}+0000", f"{form}%z")
    except ValueError:
        return False
    return re.fullmatch(rest, text[length:]) is not None
