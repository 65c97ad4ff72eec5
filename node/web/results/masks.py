"""Which pixels of a source frame belong to which segment: one frame of a Segmentation at a time, read when asked for.

BINARY (a bit a pixel, a frame a segment and plane) and LABELMAP (a number a pixel, a frame a plane) alike, so that a
hundred segments of a whole body cost the pictures that are looked at and no more.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom import Dataset

from node.dicom.geometry import SAME_PLACE
from node.dicom.overlay import Color, Mask
from node.dicom.read_frames import Frames, read_frames
from node.web.dicomweb.pixel_source import PixelSource, open_pixels

PALETTE: tuple[Color, ...] = ((230, 120, 60), (70, 160, 230), (110, 200, 90), (220, 90, 170), (235, 200, 60))
"""For segments that recommend no color."""

Place = tuple[str, int]
"""SOP Instance UID and frame number of a source frame."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A segment as it is shown: its number, label and sRGB color."""

    number: int
    label: str
    color: Color


class Masks:
    """The Segmentation at `path`. Raises Problem 404 or 410 without its pixels, ValueError and KeyError when its frames
    do not say what they are of."""

    def __init__(self, path: Path) -> None:
        self._pixels: PixelSource = open_pixels(path)
        self.header: Dataset = self._pixels.header
        self._frames: Frames = read_frames(self.header)
        self.is_labelmap = self.header.get("SegmentationType") == "LABELMAP"
        items = self.header.SegmentSequence
        self.segments = {int(item.SegmentNumber): _read_segment(item) for item in items if int(item.SegmentNumber)}
        self._by_place: dict[Place, list[int]] = defaultdict(list)
        self._lost: list[int] = []
        for n, sources in enumerate(self._frames.sources):
            for source in sources[:1]:  # the first is the image that the frame lies on, whatever else it was made of
                self._by_place[source.sop_instance_uid, source.frame].append(n)
            if not sources:
                self._lost.append(n)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns) of a frame."""
        return int(self.header.Rows), int(self.header.Columns)

    def find_frames(self, place: Place, position: NDArray[np.float64]) -> list[int]:
        """Indices of the frames that lie on a source frame; by `position` (mm) where they name no source."""
        found = self._by_place.get(place, [])
        if not self._lost:
            return found
        apart = np.linalg.norm(self._frames.positions[self._lost] - position, axis=1)
        return [*found, *(n for n, distance in zip(self._lost, apart, strict=True) if distance < SAME_PLACE)]

    def find_numbers(self, frames: Sequence[int]) -> list[int]:
        """The segments that `frames` speak of; none of a label map, which says so in its pixels alone."""
        return [] if self.is_labelmap else sorted({int(self._frames.segments[n]) for n in frames})

    def find_places(self, number: int) -> list[Place]:
        """Source frames on which segment `number` of a BINARY object lies, in the order of its frames."""
        return [
            (sources[0].sop_instance_uid, sources[0].frame)
            for n, sources in enumerate(self._frames.sources)
            if sources and int(self._frames.segments[n]) == number
        ]

    def list_sources(self) -> dict[str, tuple[int, ...]]:
        """The images that the object refers to as a whole (PS3.3 C.12.2), but for the earlier versions of itself:
        SOP Instance UID -> (), for all frames."""
        earlier = {item.ReferencedSOPInstanceUID for item in self.header.get("ReferencedImageSequence") or ()}
        return {
            str(item.ReferencedSOPInstanceUID): ()
            for series in self.header.get("ReferencedSeriesSequence") or ()
            for item in series.get("ReferencedInstanceSequence") or ()
            if item.ReferencedSOPInstanceUID not in earlier
        }

    def read(self, frames: Sequence[int]) -> list[tuple[Segment, Mask]]:
        """What `frames` hold: each segment with its pixels, bool (rows, columns), by number."""
        found: dict[int, Mask] = {}
        for n in frames:
            for number, mask in self._read_frame(n):
                found[number] = found[number] | mask if number in found else mask
        return [(self.segments[number], found[number]) for number in sorted(found) if number in self.segments]

    def weigh(self) -> int:
        """Bytes in memory, about."""
        held = len(self._pixels.held or b"")
        return held + 3000 * len(self._frames)

    def _read_frame(self, n: int) -> list[tuple[int, Mask]]:
        data = np.frombuffer(self._pixels.read_plain(n + 1), np.uint8)
        rows, columns = self.shape
        bits = int(self.header.BitsAllocated)
        if bits == 1:
            pixels = np.unpackbits(data, bitorder="little", count=rows * columns)
        else:
            pixels = data.view("<u2") if bits == 16 else data
        plane = pixels[: rows * columns].reshape(rows, columns)
        if not self.is_labelmap:
            return [(int(self._frames.segments[n]), plane > 0)]
        return [(int(number), plane == number) for number in np.unique(plane) if number]


def _read_segment(item: Dataset) -> Segment:
    number = int(item.SegmentNumber)
    value = item.get("RecommendedDisplayCIELabValue")
    color = CIELabColor.from_dicom_value(value).to_rgb() if value else PALETTE[(number - 1) % len(PALETTE)]
    return Segment(number, str(item.get("SegmentLabel", number)), (int(color[0]), int(color[1]), int(color[2])))
