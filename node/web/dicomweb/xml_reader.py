"""The Native DICOM Model in XML (PS3.19 A.1) as DICOM JSON: what `xml_model` writes, read."""

from collections.abc import Iterable
from typing import Any
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from node.web.dicomweb.json_model import NUMBERS
from node.web.dicomweb.xml_model import COMPONENTS

GROUPS = ("Alphabetic", "Ideographic", "Phonetic")


def from_xml(text: bytes) -> dict[str, Any]:
    """The dataset in `text`, as json.loads would give it. Raises ValueError for what is no such document; entities and
    document types are refused (defusedxml's errors are ValueErrors)."""
    try:
        root = fromstring(text)
    except SyntaxError as error:  # ParseError is one
        raise ValueError(f"the XML cannot be read: {error}") from None
    if _name(root) != "NativeDicomModel":
        raise ValueError(f"the XML is {_name(root)}, not NativeDicomModel")
    return _read_elements(root)


def _read_elements(parent: Element) -> dict[str, Any]:
    return {e.get("tag", "").upper(): _read_element(e) for e in parent if _name(e) == "DicomAttribute"}


def _read_element(element: Element) -> dict[str, Any]:
    vr = element.get("vr", "UN")
    model: dict[str, Any] = {"vr": vr}
    values: list[Any] = []
    for child in _in_order(element):
        name = _name(child)
        if name == "Item":
            values.append(_read_elements(child))
        elif name == "PersonName":
            values.append(_read_name(child))
        elif name == "Value":
            values.append(_read_value(vr, (child.text or "")))
        elif name == "InlineBinary":
            model["InlineBinary"] = (child.text or "").strip()
        elif name == "BulkData":
            model["BulkDataURI"] = child.get("uri", "")
    return model | {"Value": values} if values else model


def _read_value(vr: str, text: str) -> int | float | str:
    if vr not in NUMBERS or not text.strip():
        return text
    return float(text) if vr in {"DS", "FL", "FD"} else int(text)


def _read_name(element: Element) -> dict[str, str]:
    found = {_name(group): {_name(part): part.text or "" for part in group} for group in element}
    names = {group: "^".join(parts.get(name, "") for name in COMPONENTS) for group, parts in found.items()}
    return {group: names[group].rstrip("^") for group in GROUPS if group in names}


def _in_order(element: Element) -> Iterable[Element]:
    """By `number`, where children have one."""
    return sorted(element, key=lambda child: int(child.get("number", "0")))


def _name(element: Element) -> str:
    return str(element.tag).rpartition("}")[2]
