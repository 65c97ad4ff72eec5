"""A TID 1500 report, ours or another's, read back into plain findings: tolerant where encode_report is strict."""

from collections.abc import Iterator
from typing import Any

from pydicom import Dataset

from node.dicom import codes
from node.dicom.codes import find_code
from pipelines.terms import Code

FINDING_SITE_VALUES = {codes.FINDING_SITE.value, "G-C0E3"}
LATERALITY_VALUES = {codes.LATERALITY.value, "G-C171"}
"""SNOMED CT, and the SNOMED RT that older writers use (PS3.16 annex O)."""
WHAT_IT_IS = {codes.FINDING.value, codes.FINDING_CATEGORY.value, *FINDING_SITE_VALUES, *LATERALITY_VALUES}
"""Codes of a group that say what was found and where, and judge nothing."""


def read_findings(dataset: Dataset) -> list[dict[str, Any]]:
    """One dict for each finding of `dataset`: measurement groups (TID 1410, 1411, 1501) of one tracking uid are one.

    tracking_uid: str or None. finding, site, laterality: Code or None. absent: bool: looked for and not there.
    segment: {"sop_instance_uid": str, "number": int or None} or None. measurements: [{"concept": Code or None,
    "value": float or None, "unit": Code or None, "derivation": Code or None, "line": a region or None}], line: what it
    was measured along. regions: [{"sop_instance_uid": str, "frame": int or None, "graphic_type": str,
    "points": [(column, row)]}] in coordinates of the image (PS3.3 table C.18.6-1). evaluations:
    [{"concept": Code, "value": Code}], what was asked of it and the answer (TID 1411, 1501). comments: sentences
    of the group.
    """
    findings: list[dict[str, Any]] = []
    tracked: dict[str, dict[str, Any]] = {}
    for group in _groups(dataset):
        found = _read_group(group)
        uid = found["tracking_uid"]
        if uid is not None and uid in tracked:
            _merge(tracked[uid], found)
            continue
        findings.append(found)
        if uid is not None:
            tracked[uid] = found
    return findings


def read_outcome(dataset: Dataset) -> str:
    """Code Meaning of the outcome (CID 6047), as "All algorithms succeeded; with findings"; "" where none is stated."""
    code = find_outcome(dataset)
    return code.meaning if code is not None else ""


def find_outcome(dataset: Dataset) -> Code | None:
    """The outcome that `dataset` states (CID 6047), None where it states none."""
    return _find_evaluation(dataset, codes.OUTCOME)


def find_refusal_reason(dataset: Dataset) -> Code | None:
    """Why the algorithm did not run, where `dataset` is a refusal that says it as a code; else None."""
    return _find_evaluation(dataset, codes.REASON)


def read_notes(dataset: Dataset) -> list[str]:
    """The sentences that speak of the report as a whole: cautions, quality notes, why the AI did not run."""
    return [
        str(item.get("TextValue", ""))
        for container in _named(dataset, codes.QUALITATIVE_EVALUATIONS.value)
        for item in _children(container)
        if item.get("ValueType") == "TEXT"
    ]


def _find_evaluation(dataset: Dataset, concept: Code) -> Code | None:
    for container in _named(dataset, codes.QUALITATIVE_EVALUATIONS.value):
        for item in _named(container, concept.value):
            return _value(item)
    return None


def _groups(dataset: Dataset) -> Iterator[Dataset]:
    for container in _named(dataset, codes.IMAGING_MEASUREMENTS.value):
        yield from _named(container, codes.MEASUREMENT_GROUP.value)


def _read_group(group: Dataset) -> dict[str, Any]:
    site = next((item for item in _children(group) if _name(item) in FINDING_SITE_VALUES), None)
    laterality = next((i for place in (site, group) for i in _children(place) if _name(i) in LATERALITY_VALUES), None)
    uid = _first(group, codes.TRACKING_UID.value)
    return {
        "tracking_uid": str(uid.UID) if uid is not None and "UID" in uid else None,
        "finding": _value(_first(group, codes.FINDING.value)),
        "site": _value(site),
        "laterality": _value(laterality),
        "absent": any(_is_absent(item) for item in _children(group)),
        "segment": _segment(_first(group, codes.REFERENCED_SEGMENT.value)),
        "measurements": [_measurement(item) for item in _children(group) if item.get("ValueType") == "NUM"],
        "regions": [_region(item) for item in _coordinates(group)],
        "evaluations": list(_evaluations(group)),
        "comments": [
            str(item.get("TextValue", ""))
            for item in _children(group)
            if item.get("ValueType") == "TEXT" and item.get("RelationshipType") == "CONTAINS"
        ],
    }


def _merge(found: dict[str, Any], more: dict[str, Any]) -> None:
    """What another group says of the same finding; where both say something of which there is one, the first holds."""
    for key in ("finding", "site", "laterality", "segment"):
        found[key] = found[key] or more[key]
    found["absent"] = found["absent"] or more["absent"]
    for key in ("measurements", "regions", "evaluations", "comments"):
        found[key] += more[key]


def _evaluations(group: Dataset) -> Iterator[dict[str, Code]]:
    for item in _children(group):
        asked, answer = find_code(_item(item, "ConceptNameCodeSequence")), _value(item)
        if item.get("ValueType") != "CODE" or item.get("RelationshipType") != "CONTAINS" or not (asked and answer):
            continue
        if asked.value not in WHAT_IT_IS and not _is_absent(item):
            yield {"concept": asked, "value": answer}


def _is_absent(item: Dataset) -> bool:
    value = _value(item) if item.get("ValueType") == "CODE" else None
    return value is not None and (value.value, value.scheme) == (codes.ABSENT.value, codes.ABSENT.scheme)


def _segment(item: Dataset | None) -> dict[str, Any] | None:
    references = item.get("ReferencedSOPSequence") if item is not None else None
    if not references:
        return None
    return {
        "sop_instance_uid": str(references[0].get("ReferencedSOPInstanceUID", "")),
        "number": _first_number(references[0].get("ReferencedSegmentNumber")),
    }


def _measurement(item: Dataset) -> dict[str, Any]:
    """Measured Value Sequence is empty where a value could not be obtained (PS3.3 C.18.1)."""
    measured = (item.get("MeasuredValueSequence") or [Dataset()])[0]
    value = measured.get("FloatingPointValue", measured.get("NumericValue"))
    return {
        "concept": find_code(_item(item, "ConceptNameCodeSequence")),
        "value": float(value) if value not in (None, "") else None,
        "unit": find_code(_item(measured, "MeasurementUnitsCodeSequence")),
        "derivation": _value(_first(item, codes.DERIVATION.value)),
        "line": next((_region(child) for child in _coordinates(item)), None),
    }


def _coordinates(item: Dataset) -> list[Dataset]:
    return [child for child in _children(item) if child.get("ValueType") == "SCOORD"]


def _region(item: Dataset) -> dict[str, Any]:
    """Coordinates with the image that they are selected from."""
    source = next((child for child in _children(item) if child.get("ValueType") == "IMAGE"), Dataset())
    reference = _item(source, "ReferencedSOPSequence") or Dataset()
    data = [float(value) for value in item.get("GraphicData") or []]
    return {
        "sop_instance_uid": str(reference.get("ReferencedSOPInstanceUID", "")),
        "frame": _first_number(reference.get("ReferencedFrameNumber")),
        "graphic_type": str(item.get("GraphicType", "")),
        "points": list(zip(data[::2], data[1::2], strict=False)),
    }


def _first_number(value: Any) -> int | None:
    """The first of one or many numbers; None where there is none."""
    if value is not None and not isinstance(value, int):
        value = next(iter(value), None)
    return int(value) if value is not None else None


def _children(item: Dataset | None) -> list[Dataset]:
    return list(item.get("ContentSequence") or []) if item is not None else []


def _named(item: Dataset, value: str) -> Iterator[Dataset]:
    return (child for child in _children(item) if _name(child) == value)


def _first(item: Dataset, value: str) -> Dataset | None:
    return next(_named(item, value), None)


def _name(item: Dataset) -> str:
    """Code Value of the concept name. Schemes are not compared: writers mix SRT, SCT and UMLS for one concept."""
    name = find_code(_item(item, "ConceptNameCodeSequence"))
    return name.value if name is not None else ""


def _value(item: Dataset | None) -> Code | None:
    return find_code(_item(item, "ConceptCodeSequence")) if item is not None else None


def _item(item: Dataset, keyword: str) -> Dataset | None:
    return next(iter(item.get(keyword) or []), None)
