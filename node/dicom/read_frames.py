"""The frames of a segmentation, ours or another's: what each shows, where, and of which source frame.

Reads the bytes of the Per-Frame Functional Groups as they lie; only where these are not plain (lengths undefined,
another encoding) does pydicom make objects of them, which takes a hundred times as long.
"""

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException

from node.dicom.explicit_vr import NotPlain, walk_elements, walk_items

PER_FRAME = 0x52009230
DERIVATION, SOURCE = 0x00089124, 0x00082112
SOP_CLASS, SOP_INSTANCE, FRAME_NUMBER = 0x00081150, 0x00081155, 0x00081160
CONTENT, INDICES = 0x00209111, 0x00209157
PLACE, POSITION = 0x00209113, 0x00200032
IDENTIFICATION, SEGMENT = 0x0062000A, 0x0062000B

UNREADABLE = (AttributeError, BytesLengthException, EOFError, NotImplementedError, OSError, TypeError)

Position = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Source:
    """A source image of a frame: SOP Class and Instance UID, and frame number, 1 where none is said."""

    sop_class_uid: str
    sop_instance_uid: str
    frame: int


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """What the functional groups of n frames say, in the order of the frames.

    segments: int (n,), Referenced Segment Number; 0 where none is said, as in a label map.
    sources: of each frame all its source images; frames of one plane may share one tuple.
    positions: float (n, 3), Image Position (Patient) in mm; NaN where none is said.
    indices: of each frame its Dimension Index Values.
    """

    segments: NDArray[np.int64]
    sources: tuple[tuple[Source, ...], ...]
    positions: NDArray[np.float64]
    indices: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.sources)


_Frame = tuple[int, tuple[Source, ...], Position | None, tuple[int, ...]]
"""Segment, source images, position and indices; nothing where they are not said."""


def read_frames(ds: Dataset) -> Frames:
    """The frames of `ds` (PS3.3 C.7.6.16) in one pass: some 15 microseconds each where the bytes are plain.

    What a frame does not say, the Shared Functional Groups may say for all.
    Raises ValueError when a value is not of its kind, KeyError when there are no Per-Frame Functional Groups.
    """
    element = ds.get_item(PER_FRAME)
    if element is None:
        raise KeyError("PerFrameFunctionalGroupsSequence")
    shared = _read_object(next(iter(ds.get("SharedFunctionalGroupsSequence") or []), Dataset()))
    if isinstance(element, RawDataElement) and not element.is_implicit_VR and element.is_little_endian:
        try:
            return _collect(_read_bytes(element.value or b""), shared)
        except NotPlain:
            pass
    try:
        return _collect((_read_object(group) for group in ds.PerFrameFunctionalGroupsSequence), shared)
    except UNREADABLE as error:
        raise ValueError(f"a functional group cannot be read: {error}") from error


def _collect(frames: Iterable[_Frame], shared: _Frame) -> Frames:
    segments, sources, positions, indices = tuple(zip(*frames, strict=True)) or ((), (), (), ())
    place = shared[2] or (math.nan, math.nan, math.nan)
    return Frames(
        np.array([number or shared[0] for number in segments], np.int64),
        tuple(images or shared[1] for images in sources),
        np.array([position or place for position in positions], np.float64).reshape(-1, 3),
        indices,
    )


def _read_bytes(data: bytes) -> Iterator[_Frame]:
    """What depends on the plane or on the segment alone stands again and again: each is read once."""
    find_segment, find_sources, find_position = cache(_find_segment), cache(_find_sources), cache(_find_position)
    for item in walk_items(data):
        groups = dict(walk_elements(item))
        yield (
            find_segment(groups.get(IDENTIFICATION, b"")),
            find_sources(groups.get(DERIVATION, b"")),
            find_position(groups.get(PLACE, b"")),
            _find_indices(groups.get(CONTENT, b"")),
        )


def _find_segment(identification: bytes) -> int:
    value = _first_item(identification).get(SEGMENT)
    return 0 if value is None else _unpack("<H", value)[0]


def _find_sources(derivation: bytes) -> tuple[Source, ...]:
    sources = (
        source for item in walk_items(derivation) for source in walk_items(dict(walk_elements(item)).get(SOURCE, b""))
    )
    return tuple(_find_source(dict(walk_elements(source))) for source in sources)


def _find_source(image: dict[int, bytes]) -> Source:
    uids = [image.get(tag, b"").rstrip(b"\0 ").decode("ascii") for tag in (SOP_CLASS, SOP_INSTANCE)]
    return Source(uids[0], uids[1], int(image.get(FRAME_NUMBER) or 1))


def _find_position(place: bytes) -> Position | None:
    value = _first_item(place).get(POSITION)
    return _to_position(value.rstrip(b"\0 ").split(b"\\") if value else None)


def _find_indices(content: bytes) -> tuple[int, ...]:
    value = _first_item(content).get(INDICES, b"")
    return _unpack(f"<{len(value) // 4}I", value)


def _first_item(sequence: bytes) -> dict[int, bytes]:
    return next((dict(walk_elements(item)) for item in walk_items(sequence)), {})


def _unpack(form: str, value: bytes) -> tuple[int, ...]:
    try:
        return struct.unpack(form, value)
    except struct.error as error:
        raise ValueError("a number has the wrong length") from error


def _read_object(group: Dataset) -> _Frame:
    """The same from a parsed item."""
    identification, content, place = (
        next(iter(group.get(keyword) or []), Dataset())
        for keyword in ("SegmentIdentificationSequence", "FrameContentSequence", "PlanePositionSequence")
    )
    images = [
        image for item in group.get("DerivationImageSequence") or [] for image in item.get("SourceImageSequence") or []
    ]
    indices = content.get("DimensionIndexValues")
    return (
        int(identification.get("ReferencedSegmentNumber") or 0),
        tuple(
            Source(
                str(image.get("ReferencedSOPClassUID", "")),
                str(image.get("ReferencedSOPInstanceUID", "")),
                int(image.get("ReferencedFrameNumber") or 1),
            )
            for image in images
        ),
        _to_position(place.get("ImagePositionPatient")),
        tuple(int(value) for value in ([indices] if isinstance(indices, int) else indices or [])),
    )


def _to_position(values: Iterable[Any] | None) -> Position | None:
    if not values:
        return None
    numbers = [float(value) for value in values]
    if len(numbers) != 3:
        raise ValueError("Image Position (Patient) has not three values")
    return numbers[0], numbers[1], numbers[2]
