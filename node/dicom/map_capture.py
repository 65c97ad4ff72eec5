"""A map of a result as one picture: planes of the images with its values in color, for displays that show no Parametric
Map. As node.dicom.capture, a Secondary Capture; nothing can be measured on it."""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from node.dicom.authorship import Authorship
from node.dicom.capture import MOST_TILES, head_lines, make_capture, order_planes
from node.dicom.lettering import Lettering, find_lettering
from node.dicom.overlay import HOT, WARM, Picture
from node.dicom.sheet import NORMAL, SMALL, WARNING, Line, Tile, choose_window, draw_sheet, spread_planes
from node.dicom.stack import Stack
from node.dicom.wording import FOOTNOTE, format_number, format_unit, name_plane, state_caution, state_notes
from node.errors import EncodingError
from pipelines.terms import Result, ScalarMap, Volume

NOTHING = (70, 110, 190)
"""Color of where a map has no value: none of those of the map."""
MOST_MAPS = 8
"""A capture is made of each of the first so many maps: those of a hundred classes are for programs."""


def encode_map_captures(
    stack: Stack,
    volume: Volume,
    result: Result,
    author: Authorship,
    *,
    lettering: Lettering | None = None,
    series_number: int = 7008,
) -> list[Dataset]:
    """A contact sheet for each of the first maps of `result`, in their order, each in a series of its own.

    Raises EncodingError when volume or map is not on the stack's grid.
    """
    letters = lettering or find_lettering()
    return [
        _encode(stack, volume, one, result, author, letters, series_number + n)
        for n, one in enumerate(result.maps[:MOST_MAPS])
    ]


def _encode(
    stack: Stack,
    volume: Volume,
    scalars: ScalarMap,
    result: Result,
    author: Authorship,
    lettering: Lettering,
    number: int,
) -> Dataset:
    for shape in (volume.shape, scalars.values.shape):
        if shape != stack.shape:
            raise EncodingError(f"map {scalars.key!r} or its volume has shape {shape}, its stack {stack.shape}")
    planes = order_planes(stack, choose_map_planes(scalars))
    picture = draw_map(stack, volume, scalars, result, author, lettering, planes)
    said = f"Contact sheet of {len(planes)} planes with the map {scalars.label}. {state_caution(author)}"
    return make_capture(
        stack, author, picture, planes, said, f"capture of map {scalars.key}", f"{scalars.label}, picture", number
    )


def choose_map_planes(scalars: ScalarMap) -> list[int]:
    """Planes from the first to the last on which the map is half as high as anywhere."""
    low, high = scalars.find_range()
    return spread_planes(scalars.values.max(axis=(1, 2)) >= (low + high) / 2, MOST_TILES)


def to_shares(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """`values` as shares 0..1 of the way from `low` to `high`; all 0 where these are equal."""
    return np.asarray((values - np.float32(low)) / np.float32(high - low if high > low else 1.0), np.float32)


def draw_map(
    stack: Stack,
    volume: Volume,
    scalars: ScalarMap,
    result: Result,
    author: Authorship,
    lettering: Lettering,
    planes: list[int],
) -> Picture:
    """The sheet as RGB (height, width, 3)."""
    lowest, high = scalars.find_range()
    low = min(0.0, lowest)
    tiles = [_make_tile(k, name_plane(stack, k), scalars, low, high) for k in planes]
    return draw_sheet(
        volume, tiles, choose_window(volume, ()), head_lines(author), _beneath(scalars, result, author, low, high),
        lettering,
    )  # fmt: skip


def _make_tile(k: int, caption: str, scalars: ScalarMap, low: float, high: float) -> Tile:
    shares = to_shares(scalars.values[k], low, high)
    if (absent := scalars.absent) is None:
        return Tile(k, caption, shares=shares)
    shares[absent[k]] = 0.0
    return Tile(k, caption, ((absent[k], NOTHING),), shares=shares)


def _beneath(scalars: ScalarMap, result: Result, author: Authorship, low: float, high: float) -> list[Line]:
    unit = f" {shown}" if (shown := format_unit(scalars.unit)) and scalars.unit.value != "1" else ""
    middle = tuple(round((a + b) / 2) for a, b in zip(WARM, HOT, strict=True))
    return [
        Line(f"{scalars.label}: {scalars.quantity.meaning}", NORMAL),
        Line(f"high: {format_number(high)}{unit}", color=(int(HOT[0]), int(HOT[1]), int(HOT[2]))),
        Line(f"half way: {format_number((low + high) / 2)}{unit}", color=(middle[0], middle[1], middle[2])),
        Line(f"without color: {format_number(low)}{unit}"),
        *([Line("no value", color=NOTHING)] if scalars.nothing is not None else []),
        *(Line(text, SMALL, WARNING) for text in state_notes(result)),
        Line(state_caution(author), SMALL),
        Line(FOOTNOTE, ink=WARNING),
    ]
