"""Values in a DICOM JSON model (PS3.18 F.2), and how they are compared: as texts.

In:  a model and a path of tags, 8 hexadecimal digits each, sequences first.   Out: the values there.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.datadict import dictionary_VR

Model = Mapping[str, Any]

MARK = "\\"
"""Between several values of a key."""


def find_vr(tag: str) -> str:
    """From the dictionary; UN for what it does not know."""
    try:
        return dictionary_VR(int(tag, 16))
    except KeyError:
        return "UN"


def find_values(model: Model, path: Sequence[str]) -> list[Any]:
    """Every value at `path`, whichever item of a sequence it is in."""
    element = model.get(path[0])
    values = [value for value in (element or {}).get("Value", ()) if value is not None]
    if len(path) == 1:
        return values
    return [found for item in values if isinstance(item, dict) for found in find_values(item, path[1:])]


def to_text(vr: str, values: Sequence[Any]) -> str:
    r"""`values` as a column holds them: one as it is, names and several between backslashes: \DOE^JANE\."""
    texts = [text for value in values for text in to_texts(vr, value)]
    if vr == "PN" or len(texts) > 1:
        return MARK + MARK.join(texts) + MARK if texts else ""
    return texts[0] if texts else ""


def to_texts(vr: str, value: Any) -> list[str]:
    """A value of the model as texts to compare: each group of a name's components, without regard to case."""
    if vr == "PN":
        groups = value.values() if isinstance(value, dict) else [value]
        return [fold_name(group) for group in groups]
    return [fold(vr, str(value))]


def fold_name(text: str) -> str:
    """Case, and empty components at the end, do not tell names apart (PS3.4 C.2.2.2.1.1, PS3.5 6.2.1)."""
    return text.upper().rstrip("^ ")


def fold(vr: str, text: str) -> str:
    """Padding is no part of a value (PS3.5 6.2), and 7 is 7.0."""
    text = text.strip(" \0")
    if vr in ("IS", "DS"):
        try:
            return f"{float(text):g}" if "." in text or "e" in text.lower() else str(int(text))
        except ValueError:
            return text
    return text
