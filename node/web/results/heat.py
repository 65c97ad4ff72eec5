"""The maps of a result over its images: one frame of a Parametric Map at a time, read when asked for."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from node.dicom.codes import find_code
from node.dicom.header import find_value
from node.dicom.read_frames import read_frames
from node.dicom.wording import format_number, format_unit
from node.web.dicomweb.pixel_source import PixelSource, open_pixels
from node.web.results.masks import Place


@dataclass(frozen=True, slots=True, eq=False)
class Heat:
    """A Parametric Map. label: what it shows, with its range; low, high: what is without color and in full color, as is
    without color where there is no value: nothing, the number that stands there."""

    label: str
    low: float
    high: float
    pixels: PixelSource
    places: dict[Place, int] = field(default_factory=dict)
    nothing: float | None = None

    def read(self, place: Place) -> NDArray[np.float32] | None:
        """Shares 0..1 (rows, columns) on a source frame; None where it has none. Raises Problem when it is damaged."""
        number = self.places.get(place)
        if number is None:
            return None
        header = self.pixels.header
        values = np.frombuffer(self.pixels.read_plain(number), "<f4").reshape(int(header.Rows), int(header.Columns))
        shares = np.asarray((values - self.low) / ((self.high - self.low) or 1.0), np.float32)
        return shares if self.nothing is None else np.where(values == np.float32(self.nothing), np.float32(0), shares)

    def weigh(self) -> int:
        """Bytes in memory, about."""
        return len(self.pixels.held or b"") + 3000 * len(self.places)


def read_heat(path: Path) -> Heat:
    """The Parametric Map at `path`. Raises Problem 404 or 410 without its pixels, KeyError, ValueError and
    AttributeError where it does not say what it shows."""
    pixels = open_pixels(path)
    frames = read_frames(pixels.header)
    places = {
        (source.sop_instance_uid, source.frame): n
        for n, sources in enumerate(frames.sources, 1)
        for source in sources[:1]
    }
    mapping = pixels.header.SharedFunctionalGroupsSequence[0].RealWorldValueMappingSequence[0]
    low = min(0.0, float(mapping.DoubleFloatRealWorldValueFirstValueMapped))
    high = float(mapping.DoubleFloatRealWorldValueLastValueMapped)
    nothing = find_value(pixels.header, "FloatPixelPaddingValue")
    name = _name(pixels.header, mapping, low, high)
    if nothing is None:
        return Heat(name, low, high, pixels, places)
    return Heat(f"{name}; no color where there is no value, too", low, high, pixels, places, float(nothing))


def _name(header: Dataset, mapping: Dataset, low: float, high: float) -> str:
    """ "Saliency (occlusion), 0 to 1"."""
    unit = find_code(mapping.MeasurementUnitsCodeSequence[0])
    said = format_unit(unit) if unit is not None and unit.value != "1" else ""
    what = str(header.get("ContentDescription") or mapping.get("LUTExplanation") or "Map")
    return f"{what}, {format_number(low)} to {format_number(high)} {said}".rstrip()
