"""The whole content tree of a report as plain lines: every item, as a reader without a viewer would want to see it.

Dates, times and names of persons are left out: the page is looked at where others look on. So are the uids of scanners,
which are often made of the date; ours are made of nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset
from pydicom.uid import UID

from node.dicom.codes import find_code
from node.dicom.wording import format_number, format_unit

PRIVATE = frozenset({"PNAME", "DATE", "TIME", "DATETIME"})
OURS = "2.25."
"""How uids begin that are derived from UUIDs (PS3.5 B.2)."""
DEEPEST = 16


@dataclass(frozen=True, slots=True)
class Item:
    """A content item (PS3.3 C.17.3): what, how it is related to the one above, its value as text, what is below it."""

    name: str
    relation: str
    value: str
    children: tuple["Item", ...] = ()


def read_tree(dataset: Dataset, depth: int = 0) -> Iterator[Item]:
    """The items below `dataset`, in order."""
    for child in dataset.get("ContentSequence") or () if depth < DEEPEST else ():
        kind = str(child.get("ValueType", ""))
        if kind in PRIVATE or (kind == "UIDREF" and not str(child.get("UID", "")).startswith(OURS)):
            continue
        name = find_code(next(iter(child.get("ConceptNameCodeSequence") or ()), None))
        relation = str(child.get("RelationshipType", "")).lower()
        below = tuple(read_tree(child, depth + 1))
        yield Item(name.meaning if name else kind.lower(), relation, _say(kind, child), below)


def _say(kind: str, item: Dataset) -> str:
    if kind == "CODE":
        code = find_code(next(iter(item.get("ConceptCodeSequence") or ()), None))
        return f"{code.meaning} ({code.value}, {code.scheme})" if code else ""
    if kind == "NUM":
        return _say_number(item)
    if kind in ("IMAGE", "COMPOSITE", "WAVEFORM"):
        return _say_reference(item)
    if kind in ("SCOORD", "SCOORD3D"):
        return f"{item.get('GraphicType', '')} of {len(item.get('GraphicData') or ())} coordinates"
    return (
        str(item.get({"TEXT": "TextValue", "UIDREF": "UID"}.get(kind, "ValueType"), "")) if kind != "CONTAINER" else ""
    )


def _say_number(item: Dataset) -> str:
    measured = next(iter(item.get("MeasuredValueSequence") or ()), Dataset())
    value = measured.get("FloatingPointValue", measured.get("NumericValue"))
    if value in (None, ""):
        return "not obtained"
    unit = find_code(next(iter(measured.get("MeasurementUnitsCodeSequence") or ()), None))
    return f"{format_number(float(value))} {format_unit(unit) if unit else ''}".rstrip()


def _say_reference(item: Dataset) -> str:
    reference = next(iter(item.get("ReferencedSOPSequence") or ()), Dataset())
    parts = [UID(str(reference.get("ReferencedSOPClassUID", ""))).name]
    for word, keyword in (("frame", "ReferencedFrameNumber"), ("segment", "ReferencedSegmentNumber")):
        if reference.get(keyword) is not None:
            parts.append(f"{word} {reference.get(keyword)}")
    return ", ".join(parts)
