"""One slice as a picture: gray, segments in color, the patient's sides at its edges, a scale, "not for diagnosis"."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from node.dicom.geometry import Plane
from node.dicom.lettering import find_lettering
from node.dicom.overlay import Color, Mask, Picture, enlarge, find_outline, find_size, heat
from node.dicom.sheet import INK, PAPER, WARNING
from node.dicom.wording import FOOTNOTE

SMALLEST, LARGEST = 512, 1024
"""Pixels along the longer edge of a picture."""
LETTER = 16
MARGIN = 6
LENGTHS_MM = (200, 100, 50, 20, 10, 5, 2, 1)
WORDS = {"R": "right", "L": "left", "A": "anterior", "P": "posterior", "F": "foot", "H": "head"}


@dataclass(frozen=True, slots=True)
class Look:
    """How a slice is shown. limits: values that are black and white. opacity: of the fill, 0 to 1; the outline is
    opaque. overlay: whether segments are shown at all."""

    limits: tuple[float, float]
    overlay: bool = True
    opacity: float = 0.3


def draw_slice(
    values: NDArray[np.float32],
    plane: Plane,
    parts: Sequence[tuple[Mask, Color]],
    look: Look,
    sides: tuple[str, str, str, str],
    caption: str,
    shares: NDArray[np.float32] | None = None,
) -> bytes:
    """PNG of `values` (rows, columns) in true proportions, as they are stored: row 0 on top, column 0 at the left.

    parts: masks (rows, columns) with their colors. sides: letters at left, right, top, bottom. shares: a map
    (rows, columns), 0..1, beneath them.
    """
    size = find_picture_size(plane)
    gray = _to_gray(values, look.limits, size)
    shown = parts if look.overlay else ()
    under = np.repeat(gray[..., None], 3, axis=2)
    image = Image.fromarray(_color(under if shares is None else heat(under, shares), shown, size, look.opacity))
    _write_marks(image, plane, sides, caption)
    # Half the time that Pillow takes: it is most of what a picture costs.
    return bytes(imagecodecs.png_encode(np.asarray(image), level=1))


def find_picture_size(plane: Plane) -> tuple[int, int]:
    """(height, width) in pixels: one a pixel of the source where that is square and neither small nor large."""
    extent = max(rows * step for rows, step in zip(plane.shape, plane.spacing, strict=True))
    edge = int(np.clip(round(extent / min(plane.spacing)), SMALLEST, LARGEST))
    return find_size(plane.shape, plane.spacing, (edge, edge))


def find_scale(plane: Plane) -> int:
    """Length in mm of the bar: the longest round one within a third of the picture's width; at least 1."""
    width = plane.shape[1] * plane.spacing[1]
    return next((length for length in LENGTHS_MM if length <= width / 3), LENGTHS_MM[-1])


def name_scale(length: int) -> str:
    """ "5 cm", "5 mm"."""
    return f"{length // 10} cm" if length >= 10 else f"{length} mm"


def describe_sides(sides: tuple[str, str, str, str]) -> str:
    """The letters in words, for who does not see them."""
    places = ("left edge", "right edge", "top", "bottom")
    return ", ".join(
        f"{place} {' '.join(WORDS[letter] for letter in letters)}" for place, letters in zip(places, sides, strict=True)
    )


def _to_gray(values: NDArray[np.float32], limits: tuple[float, float], size: tuple[int, int]) -> Picture:
    low, high = limits
    share = np.clip((values - np.float32(low)) * np.float32(255 / max(high - low, 1e-6)), 0, 255)
    gray: Picture = share.astype(np.uint8)
    if size == gray.shape:
        return gray
    return np.asarray(Image.fromarray(gray).resize(size[::-1], Image.Resampling.BILINEAR))


def _color(picture: Picture, parts: Sequence[tuple[Mask, Color]], size: tuple[int, int], opacity: float) -> Picture:
    """`picture` with parts on it; only the box around a part is touched, for parts are often small."""
    for mask, color in parts:
        shown = mask if size == mask.shape else enlarge(mask, size)
        if not shown.any():
            continue
        box = _find_box(shown)
        inside, target = shown[box], picture[box]
        fill = (1 - opacity) * target[inside] + opacity * np.array(color, np.float32)
        target[inside] = np.rint(fill).astype(np.uint8)
        # At least a pixel of outside all around, where there is one: the picture's border alone is no outline.
        target[find_outline(inside)] = color
    return picture


def _find_box(mask: Mask) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(int(rows[0]) - 1, 0), int(rows[-1]) + 2),
        slice(max(int(columns[0]) - 1, 0), int(columns[-1]) + 2),
    )


def _write_marks(image: Image.Image, plane: Plane, sides: tuple[str, str, str, str], caption: str) -> None:
    draw = ImageDraw.Draw(image)
    width, height = image.size
    left, right, top, bottom = sides
    _put(draw, (MARGIN, height // 2), left, "lm")
    _put(draw, (width - MARGIN, height // 2), right, "rm")
    _put(draw, (width // 2, MARGIN), top, "mt")
    _put(draw, (width // 2, height - MARGIN), bottom, "mb")
    _put(draw, (MARGIN, MARGIN), FOOTNOTE, "lt", WARNING, LETTER - 3)
    _put(draw, (MARGIN, height - MARGIN), caption, "lb", INK, LETTER - 3)
    _draw_scale(draw, plane, width, height)


def _draw_scale(draw: ImageDraw.ImageDraw, plane: Plane, width: int, height: int) -> None:
    """A horizontal bar in the lower right corner with its length above."""
    length = find_scale(plane)
    pixels = length / (plane.shape[1] * plane.spacing[1]) * width
    right, y = width - MARGIN, height - MARGIN - 4
    for thick, ink in ((4, PAPER), (2, INK)):
        for start, end in (
            ((right - pixels, y), (right, y)),
            ((right - pixels, y - 4), (right - pixels, y + 4)),
            ((right, y - 4), (right, y + 4)),
        ):
            draw.line((*start, *end), fill=ink, width=thick)
    _put(draw, (right - int(pixels / 2), y - 7), name_scale(length), "mb", INK, LETTER - 3)


def _put(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    anchor: str,
    ink: Color = INK,
    size: int = LETTER,
) -> None:
    """`text` edged darkly so that it is read on a bright image too."""
    draw.text(
        at, text, fill=ink, font=_find_font(size), anchor=anchor,
        stroke_width=1, stroke_fill=PAPER,
    )  # fmt: skip


@lru_cache(maxsize=8)
def _find_font(size: int) -> Any:
    faces = find_lettering().faces
    return ImageFont.truetype(faces[0].path, size) if faces else ImageFont.load_default(size)
