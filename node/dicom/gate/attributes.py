"""The attributes of a result object against the Standard's tables: what must be there is, and is what it may be.

Every element at every depth is looked at: is it the IOD's, of its VR, with as many values or items as allowed, each of
them valid and, where the Standard enumerates, one of its values. What the Standard makes conditional is required by
node.dicom.gate.conditions. Faults name the attribute and its place, never a value.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.dataelem import RawDataElement

from node.dicom.context import OPTIONAL
from node.dicom.gate.conditions import CONDITIONS, find_conditions
from node.dicom.gate.iod_tables import Iod, Rule, Table, get_iod
from node.dicom.gate.values import find_fault, is_moment, list_values

REQUIRED_MODULES = {
    "segmentation": {"frame-of-reference", "common-instance-reference"},
    "parametric-map": {"frame-of-reference", "common-instance-reference"},
}
"""Conditional modules whose condition our objects always meet: they have a place and derive from images (PS3.3 A.51.3,
A.75.3). Other conditional or optional modules are there when an attribute is that they alone have."""

STANDARD_EXTENDED: dict[str, Set[str]] = {}
"""IOD -> attributes beyond its tables that an object may have as a Standard Extended SOP Class (PS3.2 3.11.3)."""

TAKEN_OVER = {keyword for keyword in OPTIONAL if keyword.endswith("Sequence")} | {
    "RequestAttributesSequence", "ReferencedRequestSequence",
}  # fmt: skip
"""Sequences that come from the source, item by item as far as valid: what they lack there they lack here."""

EVENTS = {
    "SeriesDate", "SeriesTime", "ContentDate", "ContentTime", "InstanceCreationDate", "InstanceCreationTime",
    "StructureSetDate", "StructureSetTime", "PresentationCreationDate", "PresentationCreationTime",
    "ContributionDateTime",
}  # fmt: skip
"""What happened here: days and times that are, and whole. Those of a source may be anything of the right form."""

MANY = 32
"""Numbers beyond which they are judged together: outlines have hundreds of thousands."""

BULK = {"OB", "OW", "OF", "OD", "OL", "OV", "UN"}
FRAMES, CONTOURS = 0x52009230, 0x30060040
"""Sequences that may be too long for this walk: node.dicom.gate.frames and structures_gate look at what is in them, at
contours only as long as they are bytes."""


class AttributeFault(Exception):
    """An attribute that is not as it must be. attribute: its keyword; place: the keywords above it; why."""

    def __init__(self, attribute: str, why: str) -> None:
        super().__init__(attribute, why)
        self.attribute, self.why = attribute, why
        self.place: list[str] = []

    def __str__(self) -> str:
        return f"{'.'.join([*self.place, self.attribute])} {self.why}"


@dataclass(slots=True, eq=False)
class Walk:
    """One pass over one object.

    copied: tag -> values as the source has them, which are not judged. uids: uids that the source has, valid or not.
    unicode: the object is in UTF-8. extended: keywords allowed beyond the IOD. valid: values that were looked at
    already, with their VR.
    """

    copied: Mapping[int, Set[str]]
    uids: Set[str]
    unicode: bool
    extended: Set[str]
    valid: set[tuple[str, Any]] = field(default_factory=set)

    def check_item(self, item: Dataset, table: Table) -> Set[int]:
        """Raise AttributeFault for the first fault in `item` or below it; the tags that it has."""
        seen: dict[int, DataElement] = {}
        left: set[int] = set()
        for found in item.values():
            tag = int(found.tag)
            if tag == FRAMES or (tag == CONTOURS and isinstance(found, RawDataElement)):
                left.add(tag)
                continue
            element = seen[tag] = item[found.tag] if isinstance(found, RawDataElement) else found
            rule = table.rules.get(tag)
            if rule is None:
                self._check_stranger(tag)
            elif element.VR == "SQ":
                self.check_items(element, rule)
            else:
                self.check_value(element, rule, tag)
        for rule in table.required:
            if rule.tag not in seen and rule.tag not in left:
                raise AttributeFault(rule.keyword, f"is absent (type {rule.type})")
        for tag in seen.keys() & CONDITIONS.keys():
            _check_conditions(seen, tag)
        return seen.keys() | left

    def _check_stranger(self, tag: int) -> None:
        if tag >> 16 & 1:
            raise AttributeFault(f"({tag >> 16:04X},{tag & 0xFFFF:04X})", "is private")
        keyword = keyword_for_tag(tag)
        if keyword not in self.extended:
            raise AttributeFault(keyword or f"({tag >> 16:04X},{tag & 0xFFFF:04X})", "is none of its IOD's")

    def check_items(self, element: DataElement, rule: Rule) -> None:
        """Raise AttributeFault for the first fault in a sequence."""
        if "SQ" not in rule.vrs:
            raise AttributeFault(rule.keyword, "is a sequence and must not be one")
        items = element.value
        low, high = rule.count
        if len(items) < low and not (rule.type == "3" and not items):
            raise AttributeFault(rule.keyword, f"has fewer items than {low}")
        if high is not None and len(items) > high:
            raise AttributeFault(rule.keyword, f"has more items than {high}")
        for number, item in enumerate(items, 1):
            if not len(item):
                raise AttributeFault(rule.keyword, f"has an empty item {number}")
            if rule.items is None or rule.keyword in TAKEN_OVER:
                continue
            try:
                self.check_item(item, rule.items)
            except AttributeFault as fault:
                fault.place.insert(0, f"{rule.keyword}[{number}]")
                raise

    def check_value(self, element: DataElement, rule: Rule, tag: int) -> None:
        """Raise AttributeFault unless `element`, no sequence, holds what `rule` allows."""
        vr = str(element.VR)
        if vr not in rule.vrs:
            raise AttributeFault(rule.keyword, f"has VR {vr}")
        if vr in BULK:
            if rule.type in {"1", "1C"} and not element.value:
                raise AttributeFault(rule.keyword, f"is empty (type {rule.type})")
            return
        values = list_values(element.value)
        if not values:
            if rule.type in {"1", "1C"}:
                raise AttributeFault(rule.keyword, f"is empty (type {rule.type})")
            return
        copied = self.copied.get(tag, frozenset())
        if copied and {str(value) for value in values} <= copied:
            return
        low, high, step = rule.vm
        if len(values) < low or (high is not None and len(values) > high) or (len(values) - low) % step:
            raise AttributeFault(rule.keyword, f"has {len(values)} values")
        if len(values) > MANY and vr in {"FL", "FD", "DS"}:
            _check_numbers(vr, values, rule)
            return
        for value in values:
            self._check_one(vr, value, rule)

    def _check_one(self, vr: str, value: Any, rule: Rule) -> None:
        if value is None or value == "":
            return  # an empty value among others
        if rule.values is not None and value not in rule.values:
            raise AttributeFault(rule.keyword, "is none of the values that the Standard enumerates")
        if rule.keyword in EVENTS and not is_moment(vr, str(value)):
            raise AttributeFault(rule.keyword, "is not a date or time that is")
        if (vr, value) in self.valid or (vr == "UI" and str(value) in self.uids):
            return
        if fault := find_fault(vr, value, self.unicode):
            raise AttributeFault(rule.keyword, fault)
        self.valid.add((vr, value))


def _check_numbers(vr: str, values: list[Any], rule: Rule) -> None:
    try:
        finite = bool(np.isfinite(np.array(values, np.float64)).all())
    except (TypeError, ValueError):
        finite = False
    if not finite or (vr == "DS" and max(len(str(value)) for value in values) > 16):
        raise AttributeFault(rule.keyword, f"holds what is no {vr}")


def check_attributes(
    ds: Dataset, *, copied: Mapping[int, Set[str]] = MappingProxyType({}), uids: Set[str] = frozenset()
) -> Walk:
    """Raise AttributeFault unless every attribute of `ds` is as the tables of its SOP class want it.

    copied: tag -> values taken over from the source as they were: what is wrong with them there stays so, at any depth.
    uids: uids of the source: they are repeated even where they are not valid.
    Returns the walk, for the items of Per-Frame Functional Groups Sequence, which node.dicom.gate.frames looks at.
    Raises KeyError when the SOP class is none that this node sends.
    """
    iod = get_iod(str(ds.SOPClassUID))
    walk = Walk(copied, uids, ds.get("SpecificCharacterSet") == "ISO_IR 192", STANDARD_EXTENDED.get(iod.name, set()))
    seen = walk.check_item(ds, iod.whole)
    for module in iod.modules:
        _check_module(iod, module, seen)
    return walk


def _check_module(iod: Iod, module: tuple[str, str, Table], seen: Set[int]) -> None:
    name, usage, table = module
    if usage != "M" and name not in REQUIRED_MODULES.get(iod.name, set()) and not seen & iod.own[name]:
        return
    for rule in table.required:
        if rule.tag not in seen:
            raise AttributeFault(rule.keyword, f"is absent (type {iod.whole.rules[rule.tag].type}, module {name})")


def _check_conditions(elements: Mapping[int, DataElement], trigger: int) -> None:
    for condition in find_conditions(trigger, elements[trigger].value):
        missing = condition.find_missing(elements)
        if missing is not None:
            raise AttributeFault(missing, f"is absent or empty, and required because of {condition.trigger}")
