"""Content items of a structured report (PS3.3 C.17.3), each a plain dataset.

They are equal to those of highdicom, which builds them attribute by attribute and validates each again: a report with
a hundred measurement groups is made here in a fraction of the time. What is passed in is taken as valid: codes are
checked where a Code is made, numbers where a report is made.

Coordinates are (column, row) pairs in which the top left corner of the top left pixel is (0, 0), its center (0.5, 0.5)
and the bottom right corner of the last pixel (Columns, Rows) (PS3.3 table C.18.6-1).
"""

from collections.abc import Iterable, Sequence

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag
from pydicom.valuerep import DSfloat

from pipelines.terms import Code

CONTAINS = "CONTAINS"
HAS_ACQUISITION_CONTEXT = "HAS ACQ CONTEXT"
HAS_CONCEPT_MODIFIER = "HAS CONCEPT MOD"
HAS_OBSERVATION_CONTEXT = "HAS OBS CONTEXT"
INFERRED_FROM = "INFERRED FROM"
SELECTED_FROM = "SELECTED FROM"


class _Attribute:
    """An attribute by its keyword: tag and VR looked up once."""

    __slots__ = ("tag", "vr")

    def __init__(self, keyword: str) -> None:
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise ValueError(f"{keyword} is no attribute of DICOM")
        self.tag, self.vr = BaseTag(tag), dictionary_VR(tag)


_VALUE, _SCHEME, _MEANING = map(_Attribute, ("CodeValue", "CodingSchemeDesignator", "CodeMeaning"))
_NAME, _VALUE_TYPE, _RELATIONSHIP = map(_Attribute, ("ConceptNameCodeSequence", "ValueType", "RelationshipType"))
_CONTENT, _CODE, _TEXT, _UID = map(_Attribute, ("ContentSequence", "ConceptCodeSequence", "TextValue", "UID"))
_MEASURED, _NUMBER, _FLOAT, _UNIT = map(
    _Attribute, ("MeasuredValueSequence", "NumericValue", "FloatingPointValue", "MeasurementUnitsCodeSequence")
)
_REFERENCE, _CLASS, _INSTANCE, _FRAME, _SEGMENT = map(
    _Attribute,
    (
        "ReferencedSOPSequence", "ReferencedSOPClassUID", "ReferencedSOPInstanceUID", "ReferencedFrameNumber",
        "ReferencedSegmentNumber",
    ),
)  # fmt: skip
_GRAPHIC_TYPE, _GRAPHIC_DATA = map(_Attribute, ("GraphicType", "GraphicData"))
_CONTINUITY, _TEMPLATE, _RESOURCE, _TEMPLATE_ID = map(
    _Attribute, ("ContinuityOfContent", "ContentTemplateSequence", "MappingResource", "TemplateIdentifier")
)


def code_item(code: Code) -> Dataset:
    """`code` as the item of a Code Sequence (PS3.3 table 8.8-1)."""
    return _dataset((_VALUE, code.value), (_SCHEME, code.scheme), (_MEANING, code.meaning))


def container(
    name: Code, content: Iterable[Dataset] = (), *, relationship: str | None = CONTAINS, template: str | None = None
) -> Dataset:
    """A CONTAINER of `content`. Its continuity is SEPARATE: its items are no flowing text (PS3.3 C.18.8).

    relationship: None for the root of the tree. template: Template Identifier of the DCMR.
    """
    more: list[tuple[_Attribute, object]] = [(_CONTINUITY, "SEPARATE")]
    if template is not None:
        more.append((_TEMPLATE, Items([_dataset((_RESOURCE, "DCMR"), (_TEMPLATE_ID, template))])))
    return _content_item("CONTAINER", name, relationship, content, *more)


def coded(name: Code, value: Code, relationship: str = CONTAINS, content: Iterable[Dataset] = ()) -> Dataset:
    """A CODE (PS3.3 table C.17.3-3)."""
    return _content_item("CODE", name, relationship, content, (_CODE, Items([code_item(value)])))


def text(name: Code, value: str, relationship: str = CONTAINS) -> Dataset:
    """A TEXT."""
    return _content_item("TEXT", name, relationship, (), (_TEXT, value))


def uid_reference(name: Code, uid: str, relationship: str = CONTAINS) -> Dataset:
    """A UIDREF."""
    return _content_item("UIDREF", name, relationship, (), (_UID, uid))


def number(name: Code, value: float, unit: Code, content: Iterable[Dataset] = ()) -> Dataset:
    """A NUM with a UCUM unit: a decimal string of at most 16 characters and the double it stands for (C.18.1)."""
    measured = _dataset((_NUMBER, DSfloat(value, auto_format=True)), (_FLOAT, value), (_UNIT, Items([code_item(unit)])))
    return _content_item("NUM", name, CONTAINS, content, (_MEASURED, Items([measured])))


def image(
    name: Code,
    sop_class_uid: str,
    sop_instance_uid: str,
    relationship: str = CONTAINS,
    *,
    frames: Sequence[int] = (),
    segment: int | None = None,
) -> Dataset:
    """An IMAGE (PS3.3 C.18.4). frames: those meant of a multi-frame image, none for all; segment: of a segmentation."""
    parts: list[tuple[_Attribute, object]] = [(_CLASS, sop_class_uid), (_INSTANCE, sop_instance_uid)]
    if frames:
        parts.append((_FRAME, list(frames) if len(frames) > 1 else frames[0]))
    if segment is not None:
        parts.append((_SEGMENT, segment))
    return _content_item("IMAGE", name, relationship, (), (_REFERENCE, Items([_dataset(*parts)])))


def polyline(name: Code, points: Iterable[tuple[float, float]], relationship: str, source: Dataset) -> Dataset:
    """An SCOORD of type POLYLINE (PS3.3 C.18.6) through `points`, (column, row) pairs in the IMAGE `source`.

    It is closed when its last point is its first (C.18.6.1.2).
    """
    data = [float(value) for point in points for value in point]
    return _content_item("SCOORD", name, relationship, (source,), (_GRAPHIC_TYPE, "POLYLINE"), (_GRAPHIC_DATA, data))


def _content_item(
    value_type: str,
    name: Code,
    relationship: str | None,
    content: Iterable[Dataset],
    *more: tuple[_Attribute, object],
) -> Dataset:
    item = _dataset((_VALUE_TYPE, value_type), (_NAME, Items([code_item(name)])), *more)
    if relationship is not None:
        item[_RELATIONSHIP.tag] = _element(_RELATIONSHIP, relationship)
    if children := list(content):
        item[_CONTENT.tag] = _element(_CONTENT, Items(children))
    return item


def _dataset(*attributes: tuple[_Attribute, object]) -> Dataset:
    return Dataset({attribute.tag: _element(attribute, value) for attribute, value in attributes})


def _element(attribute: _Attribute, value: object) -> DataElement:
    """The values are of their final types already: converting them again is what takes the time."""
    return DataElement(attribute.tag, attribute.vr, value, already_converted=True)
