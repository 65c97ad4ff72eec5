"""Conditions of PS3.3 (types 1C and 2C) that matter for the objects of this node, written by hand: the tables know that
there is a condition, not which. Each is looked at in every item that holds its trigger, at any depth."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom import DataElement
from pydicom.tag import Tag


@dataclass(frozen=True, slots=True)
class Condition:
    """An item that has `trigger`, with a value that `holds` accepts, must have a value in one of `needs`, of which a
    fault names the first. empty: it may be empty (2C)."""

    trigger: str
    needs: tuple[str, ...]
    holds: Callable[[Any], bool] = lambda value: True
    empty: bool = False

    def find_missing(self, elements: Mapping[int, DataElement]) -> str | None:
        """The attribute that an item with these elements lacks, None when it lacks none; where the condition holds."""
        for need in self.needs:
            element = elements.get(TAGS[need])
            if element is not None and (self.empty or not element.is_empty):
                return None
        return self.needs[0]


def equals(*values: object) -> Callable[[Any], bool]:
    """Whether a value is one of `values`."""
    return lambda value: value in values


def differs(*values: object) -> Callable[[Any], bool]:
    """Whether a value is none of `values`."""
    return lambda value: value not in values


def _each(trigger: str, *needs: str, holds: Callable[[Any], bool] = lambda value: True) -> list[Condition]:
    return [Condition(trigger, (need,), holds) for need in needs]


CODE = [  # PS3.3 table 8.8-1a
    Condition("CodeMeaning", ("CodeValue", "LongCodeValue", "URNCodeValue")),
    *_each("CodeValue", "CodingSchemeDesignator", "CodeMeaning"),
    *_each("LongCodeValue", "CodingSchemeDesignator", "CodeMeaning"),
]
PIXELS = [  # C.7.6.3, C.7.6.1, C.7.9
    *_each("SamplesPerPixel", "PlanarConfiguration", holds=lambda value: int(value) > 1),
    *_each(
        "LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod", holds=equals("01")
    ),
    *_each(
        "PhotometricInterpretation", "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
        "BluePaletteColorLookupTableDescriptor", holds=equals("PALETTE COLOR"),
    ),
    *_each("FrameIncrementPointer", "NumberOfFrames"),
    *_each("WindowCenter", "WindowWidth"),
    *_each("WindowWidth", "WindowCenter"),
    *_each("RescaleIntercept", "RescaleSlope"),
    *_each("RescaleSlope", "RescaleIntercept"),
]  # fmt: skip
SEGMENTATION = [  # C.8.20.2, C.8.20.4
    *_each("SegmentationType", "SegmentationFractionalType", "MaximumFractionalValue", holds=equals("FRACTIONAL")),
    *_each("SegmentAlgorithmType", "SegmentAlgorithmName", holds=differs("MANUAL")),
    *_each("TrackingID", "TrackingUID"),
    *_each("TrackingUID", "TrackingID"),
]
DOCUMENT = [  # C.17.2, C.17.3, C.18; C.24.2
    *_each("VerificationFlag", "VerifyingObserverSequence", holds=equals("VERIFIED")),
    *_each("ValueType", "TextValue", holds=equals("TEXT")),
    *_each("ValueType", "ConceptCodeSequence", holds=equals("CODE")),
    *_each("ValueType", "UID", holds=equals("UIDREF")),
    *_each("ValueType", "PersonName", holds=equals("PNAME")),
    *_each("ValueType", "Date", holds=equals("DATE")),
    *_each("ValueType", "Time", holds=equals("TIME")),
    *_each("ValueType", "DateTime", holds=equals("DATETIME")),
    *_each("ValueType", "ReferencedSOPSequence", holds=equals("IMAGE", "COMPOSITE", "WAVEFORM")),
    *_each("ValueType", "GraphicType", "GraphicData", holds=equals("SCOORD", "SCOORD3D")),
    *_each("ValueType", "ReferencedFrameOfReferenceUID", holds=equals("SCOORD3D")),
    *_each("ValueType", "TemporalRangeType", holds=equals("TCOORD")),
    *_each("ValueType", "ContinuityOfContent", holds=equals("CONTAINER")),
    Condition("ValueType", ("MeasuredValueSequence",), equals("NUM"), empty=True),
    *_each(
        "ValueType", "ConceptNameCodeSequence",
        holds=equals("TEXT", "CODE", "NUM", "UIDREF", "PNAME", "DATE", "TIME", "DATETIME"),
    ),
    *_each("EncapsulatedDocument", "MIMETypeOfEncapsulatedDocument"),
]  # fmt: skip
PRESENTATION = [  # C.10.4, C.10.5, C.11.8
    *_each("GraphicAnnotationSequence", "GraphicLayerSequence"),
    Condition("PresentationSizeMode", ("PresentationPixelSpacing", "PresentationPixelAspectRatio")),
    *_each("PresentationSizeMode", "PresentationPixelMagnificationRatio", holds=equals("MAGNIFY")),
    *_each("PresentationSizeMode", "PresentationPixelSpacing", holds=equals("TRUE SIZE")),
    Condition("UnformattedTextValue", ("BoundingBoxTopLeftHandCorner", "AnchorPoint")),
    *_each(
        "BoundingBoxTopLeftHandCorner", "BoundingBoxBottomRightHandCorner", "BoundingBoxAnnotationUnits",
        "BoundingBoxTextHorizontalJustification",
    ),
    *_each("AnchorPoint", "AnchorPointAnnotationUnits", "AnchorPointVisibility"),
]  # fmt: skip
ALL = (*CODE, *PIXELS, *SEGMENTATION, *DOCUMENT, *PRESENTATION)

TAGS = {keyword: Tag(keyword).real for condition in ALL for keyword in (condition.trigger, *condition.needs)}
"""Keyword -> tag as a plain number, for speed."""

CONDITIONS = {
    TAGS[trigger]: tuple(condition for condition in ALL if condition.trigger == trigger)
    for trigger in dict.fromkeys(condition.trigger for condition in ALL)
}
"""Tag of a trigger -> the conditions that it triggers."""

VALUE_TYPES = "TEXT CODE NUM UIDREF PNAME DATE TIME DATETIME IMAGE COMPOSITE WAVEFORM SCOORD SCOORD3D TCOORD CONTAINER"
BY_VALUE_TYPE = {
    value: tuple(condition for condition in CONDITIONS[TAGS["ValueType"]] if condition.holds(value))
    for value in VALUE_TYPES.split()
}
"""The same for Value Type, of which there are thousands: its value -> the conditions that hold."""


def find_conditions(trigger: int, value: Any) -> tuple[Condition, ...]:
    """The conditions that hold where the attribute `trigger` has `value`."""
    if trigger == TAGS["ValueType"]:
        return BY_VALUE_TYPE.get(value, ())
    return tuple(condition for condition in CONDITIONS[trigger] if condition.holds(value))
