"""DICOM JSON as the Native DICOM Model in XML (PS3.19 A.1)."""

from typing import Any
from xml.sax.saxutils import escape, quoteattr

from pydicom.datadict import keyword_for_tag

HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?><NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM">'
)
COMPONENTS = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")


def to_xml(model: dict[str, Any]) -> bytes:
    """The dataset `model`, as json.loads gives it."""
    return f"{HEAD}{_elements(model)}</NativeDicomModel>".encode()


def _elements(model: dict[str, Any]) -> str:
    return "".join(_element(tag, element) for tag, element in sorted(model.items()))


def _element(tag: str, element: dict[str, Any]) -> str:
    keyword = keyword_for_tag(int(tag, 16))
    names = f'tag="{tag}" vr={quoteattr(element["vr"])}' + (f' keyword="{keyword}"' if keyword else "")
    return f"<DicomAttribute {names}>{_content(element)}</DicomAttribute>"


def _content(element: dict[str, Any]) -> str:
    if "BulkDataURI" in element:
        return f"<BulkData uri={quoteattr(element['BulkDataURI'])}/>"
    if "InlineBinary" in element:
        return f"<InlineBinary>{element['InlineBinary']}</InlineBinary>"
    values = enumerate(element.get("Value", ()), 1)
    if element["vr"] == "SQ":
        return "".join(f'<Item number="{n}">{_elements(value)}</Item>' for n, value in values)
    if element["vr"] == "PN":
        return "".join(f'<PersonName number="{n}">{_name(value)}</PersonName>' for n, value in values if value)
    return "".join(f'<Value number="{n}">{escape(str(value))}</Value>' for n, value in values if value is not None)


def _name(value: dict[str, str]) -> str:
    return "".join(f"<{group}>{_components(text)}</{group}>" for group, text in value.items())


def _components(text: str) -> str:
    pairs = zip(COMPONENTS, text.split("^"), strict=False)
    return "".join(f"<{name}>{escape(part)}</{name}>" for name, part in pairs if part)
