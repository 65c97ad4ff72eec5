"""What is drawn over images or shown beside them: presentation states, captures and documents. They lie on the images
they name, are whole, and, as structure sets too, say in plain words what they are not for."""

from collections.abc import Iterator, Sequence

import numpy as np
from pydicom import Dataset
from pydicom.fileutil import buffer_length

from node.dicom.gate.attributes import AttributeFault
from node.dicom.gate.derived import check_pixels
from node.dicom.gate.references import INSTANCE, Known, find_references

CAUTION_PLACES = [
    "ImageComments", "DerivationDescription", "StructureSetDescription",
]  # fmt: skip
"""Where an object without text of its own may say what it is not for."""


def check_presentation(ds: Dataset, known: Known) -> None:
    """Raise AttributeFault unless a presentation state (PS3.3 A.33.1) draws on layers that there are, within the images
    that it lists."""
    listed = {str(item.ReferencedSOPInstanceUID) for item in _listed(ds)}
    for _, item in find_references(ds, ds, 0):
        if str(item.ReferencedSOPInstanceUID) not in listed:
            raise AttributeFault("ReferencedSOPInstanceUID", "is not in the Referenced Series Sequence")
    layers = [str(layer.GraphicLayer) for layer in ds.get("GraphicLayerSequence") or []]
    orders = [int(layer.GraphicLayerOrder) for layer in ds.get("GraphicLayerSequence") or []]
    if len(set(layers)) != len(layers) or len(set(orders)) != len(orders):
        raise AttributeFault("GraphicLayerSequence", "has a layer twice")
    size = np.array([int(known.first.Columns), int(known.first.Rows)])
    texts = []
    for annotation in ds.get("GraphicAnnotationSequence") or []:
        if str(annotation.GraphicLayer) not in layers:
            raise AttributeFault("GraphicLayer", "of an annotation is no layer")
        for graphic in annotation.get("GraphicObjectSequence") or []:
            _check_graphic(graphic, size)
        texts += [str(text.UnformattedTextValue) for text in annotation.get("TextObjectSequence") or []]
    for area in ds.DisplayedAreaSelectionSequence:
        low, high = area.DisplayedAreaTopLeftHandCorner, area.DisplayedAreaBottomRightHandCorner
        if not (np.array(low) >= 1).all() or not (np.array(high) <= size).all() or not (np.array(low) < high).all():
            raise AttributeFault("DisplayedAreaSelectionSequence", "is not within the images")
    check_caution(ds, "UnformattedTextValue", texts)


def _listed(ds: Dataset) -> Iterator[Dataset]:
    for series in ds.ReferencedSeriesSequence:
        yield from series.ReferencedImageSequence


def _check_graphic(graphic: Dataset, size: np.ndarray) -> None:
    """As many points as announced, in or around the image: (1, 1) is its first pixel's center (PS3.3 C.10.5.1.2)."""
    points = np.array(graphic.GraphicData, float)
    if len(points) != int(graphic.NumberOfGraphicPoints) * int(graphic.GraphicDimensions):
        raise AttributeFault("NumberOfGraphicPoints", "is not that of the Graphic Data")
    if graphic.GraphicAnnotationUnits == "PIXEL":
        pairs = points.reshape(-1, 2)
        if not ((pairs >= 0) & (pairs <= size + 1)).all():
            raise AttributeFault("GraphicData", "lies outside its image")


def check_capture(ds: Dataset, known: Known) -> None:
    """Raise AttributeFault unless a capture (PS3.3 A.8) is whole, says that text is burned in, and names its source."""
    check_pixels(ds)
    if ds.get("BurnedInAnnotation") != "YES":
        raise AttributeFault("BurnedInAnnotation", "is not YES, and there is text in the picture")
    if list(ds.get("ImageType") or [])[:1] != ["DERIVED"]:
        raise AttributeFault("ImageType", "is not DERIVED")
    _check_names_source(ds, known)
    check_caution(ds, "ImageComments")


def check_pdf(ds: Dataset, known: Known) -> None:
    """Raise AttributeFault unless an encapsulated document (PS3.3 A.45.1) is a whole PDF with a caution."""
    if ds.get("MIMETypeOfEncapsulatedDocument") != "application/pdf":
        raise AttributeFault("MIMETypeOfEncapsulatedDocument", "is not application/pdf")
    value = ds["EncapsulatedDocument"].value
    whole = value if isinstance(value, bytes | bytearray) else bytes(buffer_length(value))
    length = int(ds.get("EncapsulatedDocumentLength") or len(whole))
    if not length <= len(whole) <= length + 1 or len(whole) % 2:
        raise AttributeFault("EncapsulatedDocumentLength", "is not that of the document")
    if not whole.startswith(b"%PDF-") or b"%%EOF" not in whole[-64:]:
        raise AttributeFault("EncapsulatedDocument", "is not a whole PDF")
    _check_names_source(ds, known)
    if "not reviewed" not in str(ds.get("DocumentTitle", "")).lower():  # what stands on the pages may be a picture
        raise AttributeFault("DocumentTitle", "does not say that nobody has reviewed it")


def _check_names_source(ds: Dataset, known: Known) -> None:
    named = {str(item[INSTANCE].value) for _, item in find_references(ds, ds, 0)}
    if not named & known.sources.keys():
        raise AttributeFault("SourceImageSequence", "names no source instance")


def check_caution(ds: Dataset, attribute: str, texts: Sequence[str] = ()) -> None:
    """Raise AttributeFault, naming `attribute`, unless one of `texts` or of CAUTION_PLACES says that the result
    is AI's and what it is not for."""
    said = [text.lower() for text in [*texts, *(str(ds.get(keyword, "")) for keyword in CAUTION_PLACES)]]
    if not any("not for" in text and "ai" in text.replace(",", " ").split() for text in said):
        raise AttributeFault(attribute, "of the caution, what the result is not for, is absent")
