"""The content trees of Comprehensive 3D SR and Key Object Selection documents: their items stand in relations that the
IOD allows, what they name is in the evidence, and what the report says agrees with itself and with the segmentation."""

import math
from collections.abc import Mapping

from pydicom import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage, KeyObjectSelectionDocumentStorage

from node.dicom import codes
from node.dicom.codes import find_code
from node.dicom.gate.attributes import AttributeFault
from node.dicom.gate.content_tree import Node, read_tree
from node.dicom.gate.references import Known, check_reference, read_evidence
from pipelines.terms import Code

DOCUMENTS = {Comprehensive3DSRStorage, KeyObjectSelectionDocumentStorage}
TEMPLATES = {Comprehensive3DSRStorage: "1500", KeyObjectSelectionDocumentStorage: "2010"}
GROUPS = {"1410", "1411", "1501"}

_FACTS = "TEXT CODE NUM DATETIME DATE TIME UIDREF PNAME"
_OBJECTS = "IMAGE WAVEFORM COMPOSITE"
_PLACES = "SCOORD SCOORD3D TCOORD"


def _allow(*rows: tuple[str, str, str]) -> frozenset[tuple[str, str, str]]:
    return frozenset(
        (source, relationship, target)
        for sources, relationship, targets in rows
        for source in sources.split()
        for target in targets.split()
    )


RELATIONS: Mapping[str, frozenset[tuple[str, str, str]]] = {
    Comprehensive3DSRStorage: _allow(  # PS3.3 table A.35.13-2
        ("CONTAINER", "CONTAINS", f"{_FACTS} {_OBJECTS} {_PLACES} CONTAINER"),
        ("CONTAINER", "HAS OBS CONTEXT", f"{_FACTS} COMPOSITE"),
        (f"CONTAINER NUM {_OBJECTS}", "HAS ACQ CONTEXT", f"{_FACTS} CONTAINER"),
        (f"{_FACTS} {_OBJECTS} {_PLACES} CONTAINER", "HAS CONCEPT MOD", "TEXT CODE"),
        ("TEXT CODE NUM", "HAS PROPERTIES", f"{_FACTS} {_OBJECTS} {_PLACES} CONTAINER"),
        ("PNAME", "HAS PROPERTIES", "TEXT CODE DATETIME DATE TIME UIDREF PNAME"),
        ("TEXT CODE NUM", "INFERRED FROM", f"{_FACTS} {_OBJECTS} {_PLACES} CONTAINER"),
        ("SCOORD", "SELECTED FROM", "IMAGE"),
        ("TCOORD", "SELECTED FROM", "SCOORD SCOORD3D IMAGE WAVEFORM"),
    ),
    KeyObjectSelectionDocumentStorage: _allow(  # PS3.3 table A.35.4-2
        ("CONTAINER", "CONTAINS", f"TEXT {_OBJECTS}"),
        ("CONTAINER", "HAS OBS CONTEXT", "TEXT CODE UIDREF PNAME"),
        ("CONTAINER", "HAS CONCEPT MOD", "CODE"),
        ("PNAME", "HAS OBS CONTEXT", "TEXT CODE UIDREF PNAME"),
    ),
}
"""SOP class -> (Value Type, Relationship Type, Value Type of what stands below)."""


def check_document(ds: Dataset, known: Known) -> None:
    """Raise AttributeFault unless the document is sound; known: what it may speak of."""
    if ds.get("ValueType") != "CONTAINER":
        raise AttributeFault("ValueType", "of the root is not CONTAINER")
    for keyword in ("ConceptNameCodeSequence", "CurrentRequestedProcedureEvidenceSequence", "ContentSequence"):
        if not ds.get(keyword):
            raise AttributeFault(keyword, "is absent from the root")
    root = read_tree(ds)
    if root.template != TEMPLATES[ds.SOPClassUID]:
        raise AttributeFault("TemplateIdentifier", "is not that of the document")
    _check_relations(root, RELATIONS[ds.SOPClassUID])
    if ds.SOPClassUID == Comprehensive3DSRStorage:
        _check_rows(root)
    _check_evidence(ds, root, known)
    _check_observer(ds, root)
    if ds.SOPClassUID == Comprehensive3DSRStorage:
        groups = _find_groups(root)
        _check_outcome(ds, root, groups)
        for group in groups:
            _check_group(ds, group, known)
    _check_caution(root)


def _check_relations(node: Node, allowed: frozenset[tuple[str, str, str]]) -> None:
    for child in node.children:
        if (node.value_type, child.relationship, child.value_type) not in allowed:
            raise AttributeFault("RelationshipType", "is none that the document may have there")
        if child.value_type in {"SCOORD", "SCOORD3D"}:
            _check_coordinates(child.item, 2 if child.value_type == "SCOORD" else 3)
        if child.value_type == "SCOORD" and not any(below.value_type == "IMAGE" for below in child.children):
            raise AttributeFault("ContentSequence", "of coordinates selects no image")
        _check_relations(child, allowed)


def _check_coordinates(item: Dataset, dimensions: int) -> None:
    data = item.GraphicData
    if len(data) % dimensions or not all(math.isfinite(value) for value in data):
        raise AttributeFault("GraphicData", "is not points")
    points = len(data) // dimensions
    exact = {"POINT": 1, "CIRCLE": 2, "ELLIPSE": 4, "ELLIPSOID": 6}.get(str(item.GraphicType))
    if (exact is not None and points != exact) or (item.GraphicType in {"POLYLINE", "POLYGON"} and points < 2):
        raise AttributeFault("GraphicData", "has not the points of its type")


def _check_rows(root: Node) -> None:
    """What TID 1500 demands of the root."""
    for code in (codes.LANGUAGE, codes.PROCEDURE_REPORTED, codes.IMAGE_LIBRARY):
        if root.find(code.value) is None:
            raise AttributeFault(f"{code.meaning} {code.value}", "is absent from the root")


def _check_evidence(ds: Dataset, root: Node, known: Known) -> None:
    """The tree refers to what there is, and that is the evidence, neither less nor more; another object of this result
    may be in it all the same."""
    evidence = read_evidence(ds, known)
    used = set()
    for node in root.walk():
        for reference in node.references:
            if (uid := str(reference.ReferencedSOPInstanceUID)) not in evidence:
                raise AttributeFault("ReferencedSOPInstanceUID", "in the content tree is not among the evidence")
            check_reference(reference, known, str(ds.SOPInstanceUID))
            used.add(uid)
    if not evidence - known.objects.keys() <= used:
        raise AttributeFault("CurrentRequestedProcedureEvidenceSequence", "names what the content tree does not")


def _check_observer(ds: Dataset, root: Node) -> None:
    """The observer is the algorithm, by the names that it has as equipment (IHE AIR table 6.5.3.1-1)."""
    wanted = {
        codes.OBSERVER_UID: "DeviceSerialNumber",
        codes.OBSERVER_MANUFACTURER: "Manufacturer",
        codes.OBSERVER_MODEL: "ManufacturerModelName",
    }
    for code, keyword in wanted.items():
        said = root.find(code.value)
        if said is None or (said.uid or said.text) != str(ds.get(keyword, "")):
            raise AttributeFault(f"observer: {code.meaning} {code.value}", "is not the equipment")


def _check_caution(root: Node) -> None:
    texts = [node.text.lower() for node in root.walk() if node.value_type == "TEXT"]
    if not any(("not reviewed" in text and "not for" in text) or "did not run" in text for text in texts):
        raise AttributeFault("TextValue", "of the caution, what the result is not for, is absent")


def _find_groups(root: Node) -> list[Node]:
    return [
        group
        for container in root.children
        if container.name == codes.IMAGING_MEASUREMENTS.value
        for group in container.children
    ]


def _check_outcome(ds: Dataset, root: Node, groups: list[Node]) -> None:
    """What the report says of the whole run agrees with its groups: nothing found is not the same as not run."""
    evaluations = root.find(codes.QUALITATIVE_EVALUATIONS.value)
    outcome = evaluations.find(codes.OUTCOME.value) if evaluations is not None else None
    some = any(all(child.code != codes.ABSENT.value for child in group.children) for group in groups)
    agrees = {
        codes.WITH_FINDINGS.value: some,
        codes.WITHOUT_FINDINGS.value: bool(groups) and not some,
        codes.DID_NOT_RUN.value: not groups,
    }
    if outcome is None or not agrees.get(outcome.code, False):
        raise AttributeFault("outcome (CID 6047)", "is absent or contradicts the findings")
    if (outcome.code == codes.DID_NOT_RUN.value) != (ds.CompletionFlag == "PARTIAL"):
        raise AttributeFault("CompletionFlag", "contradicts the outcome")


def _check_group(ds: Dataset, group: Node, known: Known) -> None:
    if group.name != codes.MEASUREMENT_GROUP.value or group.template not in GROUPS:
        raise AttributeFault("TemplateIdentifier", "of a measurement group is none of TID 1410, 1411, 1501")
    parts = {child.name: child for child in reversed(group.children)}
    _check_opening(ds, parts)
    if codes.REFERENCED_SEGMENT.value in parts:
        uid, identifier = parts[codes.TRACKING_UID.value].uid, parts[codes.TRACKING_IDENTIFIER.value].text
        _check_segment(parts[codes.REFERENCED_SEGMENT.value], uid, identifier, known)
    elif group.template == "1411":
        raise AttributeFault("Referenced Segment 121191", "of a measurement group is absent")
    for node in group.walk():
        if node.value_type == "NUM":
            _check_number(node.item)


def _check_opening(ds: Dataset, parts: Mapping[str, Node]) -> None:
    """How a group is tracked, what was found, and which algorithm says so."""
    nothing = Node(Dataset())
    if not UID(parts.get(codes.TRACKING_UID.value, nothing).uid).is_valid:
        raise AttributeFault("TrackingUID", "of a measurement group is absent or not a UID")
    for code in (codes.TRACKING_IDENTIFIER, codes.FINDING):
        if code.value not in parts:
            raise AttributeFault(f"{code.meaning} {code.value}", "of a measurement group is absent")
    algorithm = ((codes.ALGORITHM_NAME, "ManufacturerModelName"), (codes.ALGORITHM_VERSION, "SoftwareVersions"))
    for code, keyword in algorithm:
        if parts.get(code.value, nothing).text != str(ds.get(keyword, "")):
            raise AttributeFault(f"{code.meaning} {code.value}", "of a measurement group is not the equipment's")


def _check_segment(node: Node, uid: str, identifier: str, known: Known) -> None:
    """The segment exists and is tracked under the group's own uid (IHE AIR 6.5.3.1)."""
    reference = node.references[0] if node.references else Dataset()
    number = reference.get("ReferencedSegmentNumber")
    segment = known.find_segment(str(reference.get("ReferencedSOPInstanceUID", "")), number)
    if segment is None:
        raise AttributeFault("ReferencedSegmentNumber", "is no segment of the segmentation")
    if str(segment.get("TrackingUID", "")) != uid:
        raise AttributeFault("TrackingUID", "of a measurement group is not that of its segment")
    if not identifier.endswith(str(segment.get("TrackingID", ""))):
        raise AttributeFault("TrackingID", "of a segment is not the Tracking Identifier of its group")


def _check_number(item: Dataset) -> None:
    for measured in item.get("MeasuredValueSequence") or []:
        value = float(measured.NumericValue)
        if not math.isfinite(value):
            raise AttributeFault("NumericValue", "is not a finite number")
        exact = measured.get("FloatingPointValue")
        if exact is not None and not math.isclose(value, exact, rel_tol=1e-6, abs_tol=1e-300):
            raise AttributeFault("FloatingPointValue", "is not the number that Numeric Value is")
        unit = _code(measured, "MeasurementUnitsCodeSequence")
        if unit is None or unit.scheme != "UCUM":
            raise AttributeFault("MeasurementUnitsCodeSequence", "is not of UCUM")


def _code(item: Dataset, keyword: str) -> Code | None:
    return find_code(next(iter(item.get(keyword) or []), None))
