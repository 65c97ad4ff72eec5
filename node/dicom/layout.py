"""How the slices of a series are laid out: they say nearly the same, byte for byte.

What has not changed since the series began is compared in runs of bytes, one step each, and taken over; only the
elements that change from slice to slice are read. From a slice that does not fit, the layout learns what changes.
"""

from typing import NamedTuple, cast

from pydicom.charset import convert_encodings, default_encoding
from pydicom.dataelem import DataElement, RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.tag import BaseTag
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from node.dicom.walk import UNDEFINED, skip_items

TRANSFER_SYNTAX, CHARACTER_SET = BaseTag(0x00020010), BaseTag(0x00080005)
FIRST_OF_DATASET = BaseTag(0x00030000)
"""Tags below it belong to the meta information."""
PIXEL_DATA = b"\xe0\x7f\x10\x00"
"""Its tag, as it ends the head of an image."""
DELIMITER_SIZE = 8

Elements = dict[BaseTag, RawDataElement | DataElement]


class Span(NamedTuple):
    """An element of a head: it begins at `place`, its value lies from `start` to `end`, a delimiter included."""

    raw: RawDataElement
    place: int
    start: int
    end: int


class _Run(NamedTuple):
    """Bytes that all heads share, up to the `size` bytes that tell the length of an element that changes, and to
    which of the two dictionaries that element belongs."""

    shared: bytes
    changing: RawDataElement
    size: int
    is_meta: bool


class Layout:
    """The elements of one head, and what is known of those that change in heads like it.

    spans: in order of storage, from the meta information to `end`, where pixel data begins or nothing is left.
    before: the layout that was in use and did not fit.
    """

    def __init__(self, head: bytes, spans: dict[BaseTag, Span], end: int, before: "Layout | None") -> None:
        self.spans = spans
        self.changing = _find_changing(spans, before)
        self._meta: Elements = {tag: span.raw for tag, span in spans.items() if tag < FIRST_OF_DATASET}
        self._elements: Elements = {tag: span.raw for tag, span in spans.items() if tag >= FIRST_OF_DATASET}
        self._model = _make_model(spans)
        self._start = place = next(iter(spans.values())).place
        self._runs: list[_Run] = []
        for tag in self.changing:
            raw, _, start, after = spans[tag]
            size = 4 if raw.is_implicit_VR or raw.VR in EXPLICIT_VR_LENGTH_32 else 2
            self._runs.append(_Run(head[place : start - size], raw, size, tag < FIRST_OF_DATASET))
            place = after
        self._tail = head[place:end] + PIXEL_DATA

    def to_header(self) -> FileDataset:
        """The elements that this layout was made of, as a dataset that is not yet of any file."""
        return _make_like(self._model, self._meta.copy(), self._elements.copy())

    def follow(self, head: bytes) -> FileDataset | None:
        """The same of the elements of another `head`; None when it is laid out otherwise or does not reach as far as
        Pixel Data. Raises what walk.skip_items raises."""
        meta, elements = self._meta.copy(), self._elements.copy()
        place = self._start
        for shared, changing, size, is_meta in self._runs:
            if not head.startswith(shared, place):
                return None
            start = place + len(shared) + size
            length = int.from_bytes(head[start - size : start], "little")
            if length != UNDEFINED:
                place = start + length
                value = head[start:place]
            elif changing.VR == "SQ":
                place = skip_items(head, start, not changing.is_implicit_VR, 1)
                value = head[start : place - DELIMITER_SIZE]
            else:
                return None
            tag = changing.tag
            raw = make_raw(tag, changing.VR, length, value, implicit=changing.is_implicit_VR)
            (meta if is_meta else elements)[tag] = raw
        return _make_like(self._model, meta, elements) if head.startswith(self._tail, place) else None


def make_raw(tag: BaseTag, vr: str | None, length: int, value: bytes, *, implicit: bool) -> RawDataElement:
    """A little endian element as the parser leaves it, but for its place in the file, which is not kept."""
    held = value if length else cast(bytes | None, empty_value_for_VR(vr, raw=True))
    return RawDataElement(tag, vr, length, held, 0, implicit, True)


def _find_changing(spans: dict[BaseTag, Span], before: Layout | None) -> tuple[BaseTag, ...]:
    """The tags of what changes, in order: what was known to, and what does now; none where another layout begins."""
    if before is None or list(spans) != list(before.spans):
        return ()
    changing = []
    for tag, span in spans.items():
        raw, earlier = span.raw, before.spans[tag].raw
        if raw.VR != earlier.VR:
            return ()
        if raw.value != earlier.value or raw.length != earlier.length or tag in before.changing:
            changing.append(tag)
    return () if TRANSFER_SYNTAX in changing or CHARACTER_SET in changing else tuple(changing)


def _make_model(spans: dict[BaseTag, Span]) -> FileDataset:
    """A dataset without elements that is, beside them, what the parser makes of a head with such `spans`."""
    encoding: str | list[str] = default_encoding
    if CHARACTER_SET in spans:
        encoding = convert_encodings(convert_raw_data_element(spans[CHARACTER_SET].raw).value)
    implicit = any(span.raw.is_implicit_VR for span in spans.values())
    meta = FileMetaDataset()
    meta.set_original_encoding(False, True, default_encoding)
    model = FileDataset("", {}, None, meta, implicit, True)
    model.set_original_encoding(implicit, True, encoding)
    return model


def _make_like(model: FileDataset, meta: Elements, elements: Elements) -> FileDataset:
    """A dataset like `model` with elements of its own. pydicom's constructors, which look every attribute up in the
    dictionary before it is set, would take longer than all the reading."""
    header, header_meta = FileDataset.__new__(FileDataset), FileMetaDataset.__new__(FileMetaDataset)
    vars(header_meta).update(vars(model.file_meta), _dict=meta, **_make_containers())
    vars(header).update(vars(model), _dict=elements, file_meta=header_meta, **_make_containers())
    return header


def _make_containers() -> dict[str, dict[str, bool]]:
    """What a dataset would otherwise share with its model and change for both."""
    return {"_private_blocks": {}, "_pixel_array_opts": {"use_pdh": False}, "_pixel_id": {}}
