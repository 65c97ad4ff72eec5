"""The head of a file, all that lies before its pixel data, as a dataset of raw elements (PS3.10 7.1, PS3.5 7.1).

Nothing is decoded here: pydicom does that when an element is asked for.
"""

import os
import struct
import threading
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataset import FileDataset
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ImplicitVRLittleEndian

from node.dicom.layout import DELIMITER_SIZE, FIRST_OF_DATASET, TRANSFER_SYNTAX, Layout, Span, make_raw
from node.dicom.walk import ITEM, LONG_VRS, SHORT_VRS, UNDEFINED, skip_items

PREAMBLE = 128
START = 132
"""Where the meta information begins, behind the preamble and "DICM"."""
PIXEL_DATA = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, Double Float and Pixel Data: a head ends where one of them begins."""
FIRST_READ = 16 * 1024
"""Bytes that hold the head of nearly every single-frame image; of others more are read."""
MORE = 16
"""How many times as many bytes are read where a head does not end within those that were."""

_EXPLICIT = struct.Struct("<HH2sH")
_LENGTH = struct.Struct("<I")
_TAG = struct.Struct("<HH")
_VRS = {vr: vr.decode() for vr in SHORT_VRS | LONG_VRS}
_LETTERS = range(ord("A"), ord("Z") + 1)

find_tag = lru_cache(maxsize=8192)(BaseTag)
"""The one object for a tag: dictionaries find the same object sooner than an equal one."""

_recent = threading.local()
"""Of each thread the layout that it used last: the slices of a series come one after the other."""


def read_head(path: Path) -> FileDataset | None:
    """The dataset in the file at `path` up to its pixel data, as the parser reads it, all elements raw.

    None when it is not plainly a little endian file with preamble, meta information and well formed elements: then
    the parser, which forgives much, has to look. Where in the file a value lay is not kept (`value_tell` is 0).
    Sequences of undefined length are raw too, so that damage within their items, on which the parser gives the whole
    file up, costs the sequence alone, as it does in those of defined length.
    Raises OSError when the file cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        head = os.pread(descriptor, FIRST_READ, 0)
        header = _read_header(descriptor, head) if head[PREAMBLE:START] == b"DICM" else None
        if header is not None:
            origin = {"filename": str(path), "fileobj_type": open, "timestamp": os.fstat(descriptor).st_mtime}
            vars(header).update(origin, preamble=head[:PREAMBLE])
        return header
    finally:
        os.close(descriptor)


def _read_header(descriptor: int, head: bytes) -> FileDataset | None:
    """The dataset of the open file that begins with `head`, not yet of any file; None as in read_head."""
    layout: Layout | None = getattr(_recent, "layout", None)
    try:
        header = layout.follow(head) if layout is not None else None
        if header is None:
            _recent.layout = _learn(descriptor, head, layout)
            header = _recent.layout.to_header()
    except (struct.error, LookupError, ValueError):
        return None
    return header


def _learn(descriptor: int, head: bytes, before: Layout | None) -> Layout:
    """The layout of the open file that begins with `head`. Raises ValueError, LookupError or struct.error when its
    bytes are not plain enough."""
    size = os.fstat(descriptor).st_size
    while True:
        try:
            return _read_layout(head, before, size)
        except struct.error:
            if len(head) >= size:
                raise
            head = os.pread(descriptor, len(head) * MORE, 0)


def _read_layout(head: bytes, before: Layout | None, size: int) -> Layout:
    """The same from the beginning of a file of `size` bytes; raises struct.error when it does not suffice."""
    spans: dict[BaseTag, Span] = {}
    start = _walk(head, START, size, spans, explicit=True, is_end=lambda tag: tag >> 16 != 2)
    first = len(spans)
    syntax = UID((spans[TRANSFER_SYNTAX].raw.value or b"").rstrip(b"\0 ").decode("ascii"))
    if syntax in ("", DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian):
        raise ValueError("the dataset is not little endian as it lies there")
    explicit = syntax != ImplicitVRLittleEndian
    if not explicit and all(byte in _LETTERS for byte in head[start + 4 : start + 6]):
        raise ValueError("the first element has a value representation nevertheless")
    end = _walk(head, start, size, spans, explicit=explicit, is_end=PIXEL_DATA.__contains__)
    if any(tag < FIRST_OF_DATASET or tag.group == 0xFFFE for tag in list(spans)[first:]):
        raise ValueError("elements of meta information, of a command or of items stand in the dataset")
    return Layout(head, spans, end, before)


def _walk(
    head: bytes, place: int, size: int, spans: dict[BaseTag, Span], *, explicit: bool, is_end: Callable[[int], bool]
) -> int:
    """Adds the elements from `place` on to `spans`, up to a tag that is the end, or the end of the file. Returns
    where that is."""
    while place != size:
        group, number, code, length = _EXPLICIT.unpack_from(head, place)
        tag = find_tag(group << 16 | number)
        if is_end(tag):
            break
        if tag in spans:
            raise ValueError("an element is there twice")
        vr = _VRS[code] if explicit else None
        start = place + (12 if vr is not None and code in LONG_VRS else 8)
        if vr is None or code in LONG_VRS:
            (length,) = _LENGTH.unpack_from(head, start - 4)
        if length == UNDEFINED:
            end = _skip_sequence(head, tag, vr, start)
            vr, value = "SQ", head[start : end - DELIMITER_SIZE]
        else:
            end = start + length
            value = head[start:end]
        if end > len(head):
            raise struct.error("the value goes on")
        spans[tag] = Span(make_raw(tag, vr, length, value, implicit=not explicit), place, start, end)
        place = end
    return place


def _skip_sequence(head: bytes, tag: BaseTag, vr: str | None, start: int) -> int:
    """Behind the sequence of undefined length whose items start there. Raises ValueError when it is none, or may be
    something else to the parser."""
    explicit = vr is not None
    if not explicit:
        group, number = _TAG.unpack_from(head, start)
        known = dictionary_VR(tag) if dictionary_has_tag(tag) else "SQ"
        vr = known if group << 16 | number == ITEM else None
    if vr != "SQ":
        raise ValueError("a value of undefined length is no sequence")
    return skip_items(head, start, explicit, 1)
