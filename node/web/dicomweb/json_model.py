"""A header as DICOM JSON (PS3.18 annex F).

The slices of a series say nearly the same: what an element says is turned into text once and found again by its bytes.
Bulk data is referred to relative to the instance ("bulkdata/7FE00010"); `to_absolute` gives it the address of the day.
"""

import json
import math
import struct
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, cast

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import PersonName

from node.dicom.header import DAMAGE, find_value
from node.dicom.walk import split_elements, split_items

BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
NUMBERS = frozenset({"IS", "DS", "FL", "FD", "SL", "SS", "SV", "UL", "US", "UV"})
INLINE = 1024
"""The longest binary value in bytes that stands in the JSON itself."""
SAME = 4096
"""The longest element in bytes that is looked for among those turned into text before."""
CHARACTER_SET = 0x00080005
UTF_8 = "ISO_IR 192"
PIXEL_DATA, FLOAT_PIXELS, DOUBLE_PIXELS = 0x7FE00010, 0x7FE00008, 0x7FE00009

_REFERENCE = b'"BulkDataURI":"bulkdata/'
"""Unmistakable: within a JSON text quotes are escaped."""


def to_json(header: Dataset, *, encapsulated: bool) -> bytes:
    """All elements of `header`, and a reference to its pixel data where it describes some; UTF-8. A value that cannot
    be decoded is left out, its VR is not."""
    said = header.original_character_set or header._character_set
    encoding = said if isinstance(said, str) else tuple(said)
    parts = [
        _element_text(header, tag, raw, encoding)
        for tag, raw in list(header._dict.items())
        if tag & 0xFFFF and 0x00080000 <= int(tag) < 0xFFFE0000
    ]
    if (pixels := find_pixel_tag(header)) is not None:
        vr = find_pixel_vr(pixels, encapsulated)
        parts.append(f'"{pixels:08X}":{{"vr":"{vr}","BulkDataURI":"bulkdata/{pixels:08X}"}}')
    return f"{{{','.join(parts)}}}".encode()


def to_absolute(model: bytes, instance_url: str) -> bytes:
    """`model` with its bulk data under `instance_url`."""
    return model.replace(_REFERENCE, f'"BulkDataURI":"{instance_url}/bulkdata/'.encode())


def find_pixel_tag(header: Dataset) -> int | None:
    """Which kind of pixel data the header describes (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25); None for none."""
    allocated = find_value(header, "BitsAllocated")
    if find_value(header, "Rows") is None or allocated is None:
        return None
    if find_value(header, "PixelRepresentation") is None and allocated in (32, 64):
        return FLOAT_PIXELS if allocated == 32 else DOUBLE_PIXELS
    return PIXEL_DATA


def find_pixel_vr(tag: int, encapsulated: bool) -> str:
    """(PS3.5 A.4, PS3.6)"""
    return {FLOAT_PIXELS: "OF", DOUBLE_PIXELS: "OD"}.get(tag, "OB" if encapsulated else "OW")


def _element_text(
    header: Dataset, tag: BaseTag, raw: RawDataElement | DataElement, encoding: str | tuple[str, ...]
) -> str:
    if tag == CHARACTER_SET:
        return f'"00080005":{{"vr":"CS","Value":["{UTF_8}"]}}'
    if isinstance(raw, RawDataElement) and raw.is_little_endian:
        vr = raw.VR or _find_vr(int(tag))
        if vr == "SQ" and raw.value:
            with suppress(ValueError, struct.error):  # what is laid out otherwise than usual is left to the parser
                return _sequence_text(int(tag), raw.value, f"{tag:08X}", raw.is_implicit_VR, encoding)
        elif vr and raw.length <= SAME:
            return _same_text(int(tag), vr, raw.value, raw.length, raw.is_implicit_VR, encoding)
    try:
        return _to_text(header[tag], f"{tag:08X}")
    except (*DAMAGE, OSError):
        return _nothing(tag, raw.VR)


@lru_cache(maxsize=8192)
def _find_vr(number: int) -> str:
    """What the dictionary says of a public attribute; "" where it is not one VR alone."""
    tag = BaseTag(number)
    known = dictionary_VR(tag) if not tag.is_private and dictionary_has_tag(tag) else ""
    return known if len(known) == 2 else ""


@lru_cache(maxsize=8192)
def _same_text(
    number: int, vr: str, value: bytes | None, length: int, implicit: bool, encoding: str | tuple[str, ...]
) -> str:
    tag = BaseTag(number)
    raw = RawDataElement(tag, vr, length, value, 0, implicit, True)
    try:
        element = convert_raw_data_element(raw, encoding=encoding if isinstance(encoding, str) else list(encoding))
        if element.VR not in BINARY and isinstance(element.value, bytes):
            return _nothing(tag, vr)
        return _to_text(element, f"{tag:08X}")
    except (*DAMAGE, OSError):
        return _nothing(tag, vr)


def _sequence_text(number: int, value: bytes, path: str, implicit: bool, encoding: str | tuple[str, ...]) -> str:
    """Of a sequence that is not empty. Raises ValueError or struct.error where it is laid out otherwise than usual."""
    if len(value) <= INLINE:  # no bulk data fits into it: where it stands does not matter
        items = _same_items(value, implicit, encoding)
    else:
        items = _items_text(value, path, implicit, encoding)
    return f'"{number:08X}":{{"vr":"SQ","Value":[{items}]}}'


def _items_text(value: bytes, path: str, implicit: bool, encoding: str | tuple[str, ...]) -> str:
    items = enumerate(split_items(value, explicit=not implicit), 1)
    texts = (_nested_texts(item, f"{path}/{n}", implicit, encoding) for n, item in items)
    return ",".join(f"{{{','.join(inner)}}}" for inner in texts)


@lru_cache(maxsize=2048)  # as many as the planes of a long series have, in a segmentation of many segments
def _same_items(value: bytes, implicit: bool, encoding: str | tuple[str, ...]) -> str:
    return _items_text(value, "", implicit, encoding)


def _nested_texts(item: bytes, path: str, implicit: bool, encoding: str | tuple[str, ...]) -> Iterator[str]:
    for number, said, value in split_elements(item, explicit=not implicit):
        vr = said or _find_vr(number)
        if vr in ("", "UN") or number == CHARACTER_SET:
            raise ValueError("what the parser knows more of")
        if vr == "SQ" and value:
            yield _sequence_text(number, value, f"{path}/{number:08X}", implicit, encoding)
        elif vr in BINARY and len(value) > INLINE:
            yield f'"{number:08X}":{{"vr":"{vr}","BulkDataURI":"bulkdata/{path}/{number:08X}"}}'
        elif number & 0xFFFF:
            raw = value or cast(bytes | None, empty_value_for_VR(vr, raw=True))
            text = _same_text if len(value) <= SAME else _same_text.__wrapped__
            yield text(number, vr, raw, len(value), implicit, encoding)


def _nothing(tag: BaseTag, vr: str | None) -> str:
    return f'"{tag:08X}":{{"vr":"{vr or "UN"}"}}'


def _to_text(element: DataElement, path: str) -> str:
    model = _to_model(element, path)
    return f'"{element.tag:08X}":{json.dumps(model, ensure_ascii=False, separators=(",", ":"), allow_nan=False)}'


def _to_model(element: DataElement, path: str) -> dict[str, Any]:
    """(PS3.18 F.2.2)"""
    vr = _single(element.VR)
    model: dict[str, Any] = {"vr": vr}
    if element.is_empty:
        return model
    if vr == "SQ":
        model["Value"] = [_item_model(item, f"{path}/{n}") for n, item in enumerate(element.value, 1)]
    elif vr in BINARY:
        value = _to_bytes(element.value)
        if len(value) > INLINE:
            model["BulkDataURI"] = f"bulkdata/{path}"
        else:
            model["InlineBinary"] = b64encode(value).decode()
    else:
        values = element.value if isinstance(element.value, MultiValue | list) else [element.value]
        model["Value"] = [_value_model(vr, value) for value in values]
    return model


def _single(vr: str) -> str:
    """Of what the dictionary leaves open, the one that is right without further knowledge."""
    return {"US or SS": "US", "OB or OW": "OW", "US or OW": "OW", "US or SS or OW": "OW"}.get(vr, vr)


def _item_model(item: Dataset, path: str) -> dict[str, Any]:
    return dict(_item_elements(item, path))


def _item_elements(item: Dataset, path: str) -> Iterator[tuple[str, Any]]:
    for tag in sorted(item.keys()):
        name = f"{tag:08X}"
        if tag.element == 0 or tag.group == 0xFFFE:
            continue
        try:
            yield name, _to_model(item[tag], f"{path}/{name}")
        except (*DAMAGE, OSError):
            yield name, {"vr": "UN"}


def _to_bytes(value: Any) -> bytes:
    return b"".join(value) if isinstance(value, MultiValue | list) else bytes(value)


def _value_model(vr: str, value: Any) -> Any:
    """(PS3.18 table F.2.3-1)"""
    if vr == "AT":
        return f"{int(value):08X}"
    if value is None or value == "":
        return None
    if vr == "PN":
        return _name_model(value)
    # The parser leaves a decimal or integer string that is neither as text.
    return _number_model(vr, value) if vr in NUMBERS and not isinstance(value, str) else str(value)


def _number_model(vr: str, value: Any) -> int | float | str:
    number = float(value) if vr in ("DS", "FL", "FD") else int(value)
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    return int(number) if vr == "DS" and float(number).is_integer() and abs(number) < 1e15 else number


def _name_model(value: Any) -> dict[str, str]:
    name = value if isinstance(value, PersonName) else PersonName(str(value))
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), str(name).split("="), strict=False)
    return {group: text for group, text in groups if text}
