"""Reading what an instance says of itself: everything but its pixels, for each of its frames."""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydicom import DataElement, Dataset, dcmread
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.sequence import Sequence as DicomSequence
from pydicom.tag import BaseTag, Tag

from node.dicom.head import find_tag, read_head
from node.errors import CannotUnderstand

IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
"""Without these an instance is nobody (PS3.3 C.12.1, C.7.2.1, C.7.3.1)."""

DAMAGE = (
    ArithmeticError,
    AttributeError,
    BytesLengthException,
    EOFError,
    InvalidDicomError,
    LookupError,
    NotImplementedError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What parsing and decoding of damaged bytes raises, beside the parser's own OSError (see `is_damage`)."""

ALONE = frozenset(
    {"AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "SL", "SS", "SV", "TM", "UI", "UL", "US", "UV"}
)
"""Value representations whose bytes need nothing else, such as a character set, to be understood (PS3.5 6.2)."""
NOT_ALONE = object()

SHORT = 256
"""Longest value in bytes that is kept decoded for the headers to come."""


def read_header(path: Path) -> Dataset:
    """The instance at `path` without its pixel data, functional groups included.

    Tolerant: preamble, file meta information and valid values are not asked for, an identity is.
    Raises node.errors.CannotUnderstand when it is no DICOM dataset or lacks its identity; OSError when the file
    cannot be read at all.
    """
    try:
        header = read_head(path) or dcmread(path, stop_before_pixels=True, force=True)
        missing = [keyword for keyword in IDENTITY if not find_value(header, keyword)]
    except (*DAMAGE, OSError) as error:
        if not is_damage(error):
            raise
        # The parser's own words may quote values of the dataset: only its kind is told.
        raise CannotUnderstand(f"the file is no DICOM dataset ({type(error).__name__})") from None
    if len(missing) == len(IDENTITY):
        raise CannotUnderstand("the file is no DICOM dataset: it has no identity at all")
    if missing:
        raise CannotUnderstand(f"the dataset lacks its identity: {', '.join(missing)}")
    return header


def is_damage(error: BaseException) -> bool:
    """True when the instance is at fault. A disk that fails is not: its OSError has an errno, the parser's has none."""
    return isinstance(error, DAMAGE) or (isinstance(error, OSError) and error.errno is None)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of an instance, with all that the header says of it.

    number: from 1.
    groups: attributes of its functional groups, its own before those it shares (PS3.3 C.7.6.16); none when the
        instance is single-frame.
    """

    header: Dataset
    number: int
    groups: tuple[dict[str, Any], ...] = ()

    def get(self, keyword: str) -> Any:
        """The value that holds for this frame; None when it is absent, empty or not readable."""
        for group in self.groups:
            if keyword in group:
                return group[keyword]
        return find_value(self.header, keyword)


def find_frames(header: Dataset, numbers: Sequence[int] | None = None) -> tuple[Frame, ...]:
    """The frames of an instance by their numbers (from 1), all in order of storage when no numbers are given.

    An instance without functional groups says the same of all its frames, so it counts as one unless asked by number.
    Raises IndexError when the functional groups do not reach a number.
    """
    items = find_value(header, "PerFrameFunctionalGroupsSequence")
    wanted = range(1, (len(items) if items else 1) + 1) if numbers is None else numbers
    if not items:
        return tuple(Frame(header, number) for number in wanted)
    shared = find_value(header, "SharedFunctionalGroupsSequence")
    common = _flatten(shared[0]) if shared else {}
    return tuple(Frame(header, number, (_flatten(items[number - 1]), common)) for number in wanted)


def is_numbered_backward(first: Dataset, last: Dataset) -> bool:
    """Whether the images of a stack are numbered against its order, given the headers of its two ends: readers go
    through images by number, many scanners number from the head on, and a stack begins at the feet."""
    low, high = (find_value(header, "InstanceNumber") for header in (first, last))
    return low is not None and high is not None and int(low) > int(high)


def count_frames(header: Dataset) -> int:
    """Number of Frames (PS3.3 C.7.6.6); 1 when the header does not say."""
    try:
        return max(int(find_value(header, "NumberOfFrames") or 1), 1)
    except (TypeError, ValueError):
        return 1


def find_value(dataset: Dataset, key: Any) -> Any:
    """The value at a keyword or tag; None when absent, empty or not readable. A list of values is not to be changed:
    other headers may share it."""
    try:
        tag = _find_tag(key)
        # The same as get_item, which would take longer than the rest of what is done for each of a thousand slices.
        element = dataset._dict.get(tag)
        if element is None:
            return None
        if isinstance(element, RawDataElement) and element.length <= SHORT and element.is_little_endian:
            value = _decode(tag, element.VR, element.value)
            if value is not NOT_ALONE:
                return value
        return _to_value(dataset[tag])
    except (*DAMAGE, OSError):
        return None


@lru_cache(maxsize=4096)
def _find_tag(key: Any) -> BaseTag:
    return find_tag(Tag(key))


@lru_cache(maxsize=4096)
def _decode(tag: BaseTag, vr: str | None, value: bytes | None) -> Any:
    """The value of a little endian element, NOT_ALONE when its bytes do not suffice to know it. What hundreds of
    slices say alike is decoded once."""
    known = vr or (dictionary_VR(tag) if dictionary_has_tag(tag) else "")
    if known not in ALONE:
        return NOT_ALONE
    implicit = vr is None
    return _to_value(convert_raw_data_element(RawDataElement(tag, vr, len(value or b""), value, 0, implicit, True)))


def _to_value(element: DataElement) -> Any:
    value = None if element.is_empty else element.value
    # The parser leaves a decimal or integer string that is neither as text.
    return None if element.VR in ("DS", "IS") and isinstance(value, str) else value


def _flatten(item: Dataset) -> dict[str, Any]:
    """Attributes of the functional groups in `item` by keyword. Private groups are left out: they repeat public
    attributes with other meanings."""
    found: dict[str, Any] = {}
    for tag in list(item.keys()):
        group = None if tag.is_private else find_value(item, tag)
        if not isinstance(group, DicomSequence) or not group:
            continue
        for inner in list(group[0].keys()):
            value = None if inner.is_private else find_value(group[0], inner)
            if value is not None:
                found.setdefault(keyword_for_tag(inner), value)
    return found
