"""A contact sheet: planes of a volume with what was found on them, and the words that go with it; pure drawing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from node.dicom.lettering import Lettering
from node.dicom.overlay import Color, Mask, Picture, find_size, heat, shade
from pipelines.terms import Volume

PAPER, INK, FAINT = (12, 12, 14), (235, 235, 235), (150, 150, 155)
WARNING = (255, 210, 80)
LUNG_WINDOW, SOFT_WINDOW = (-1350.0, 150.0), (-160.0, 240.0)
"""Lower and upper limit in HU: -600/1500 and 40/400 as center/width."""

AIRY_HU = -300.0
SMALL_MM, RIM = 60.0, 4
"""Of what is smaller in its planes, a rim of so many pixels is looked at."""

WIDTH, MARGIN, GAP = 1280, 16, 4
"""Of the sheet, of what is written on it, between tiles; in pixels."""
MOST_COLUMNS = 5
SMALL, NORMAL, LARGE = 15, 19, 30
"""Heights of letters in pixels."""

SIDES = (("R", "L"), ("A", "P"), ("F", "H"))
"""Where -x, +x, -y, +y, -z, +z of LPS point (PS3.3 C.7.6.1.1.1)."""
ASIDE = np.sin(np.deg2rad(10.0))
"""A direction has a second and third letter when it leans this far towards another axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """The plane `k` of the volume with its caption and the masks (rows, columns) on it, each in its color.

    names: what is written beside each part, "" for nothing. shares: a map (rows, columns), 0..1, over it."""

    k: int
    caption: str
    parts: tuple[tuple[Mask, Color], ...] = ()
    names: tuple[str, ...] = ()
    shares: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A sentence beneath or above the tiles; with a patch of `color` before it where it explains one."""

    text: str
    size: int = NORMAL
    ink: Color = INK
    color: Color | None = None


def choose_window(volume: Volume, seen: Sequence[tuple[NDArray[np.float32], Mask]]) -> tuple[float, float]:
    """Lower and upper limit of gray: CT for lungs when what was found is full of air or mostly lies in it, as nodules
    do, else for soft tissue; other modalities by their own percentiles. seen: of each thing found some voxels, (j, i)
    or (k, j, i), and its mask on them."""
    if volume.modality != "CT":
        low, high = np.percentile(volume.voxels[::2, ::2, ::2], (1.0, 99.5))
        return float(low), float(high)
    found = [(voxels, mask) for voxels, mask in seen if mask.any()]
    if not found or float(np.median(np.concatenate([voxels[mask] for voxels, mask in found]))) < AIRY_HU:
        return LUNG_WINDOW
    in_air = sum(_lies_in_air(voxels, mask, volume.spacing[1:]) for voxels, mask in found)
    return LUNG_WINDOW if 2 * in_air > len(found) else SOFT_WINDOW


def _lies_in_air(voxels: NDArray[np.float32], mask: Mask, spacing: tuple[float, ...]) -> bool:
    """Whether something small has mostly air in a rim around it within its planes; of what is large it says nothing."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    if any((side.stop - side.start) * step > SMALL_MM for side, step in zip(box[-2:], spacing, strict=True)):
        return False
    *planes, rows, columns = box
    around = (*planes, *(slice(max(side.start - RIM, 0), side.stop + RIM) for side in (rows, columns)))
    flat = np.ones((3, 3), bool) if mask.ndim == 2 else np.ones((1, 3, 3), bool)
    rim = ndimage.binary_dilation(mask[around], flat, RIM) & ~mask[around]
    return bool(rim.any()) and float(np.median(voxels[around][rim])) < AIRY_HU


def choose_planes(mask: Mask, axis: int, count: int, keep: Sequence[int] = ()) -> list[int]:
    """Up to `count` planes across `axis`, evenly of those that `mask` touches, of all when none; see spread_planes."""
    others = tuple(n for n in range(3) if n != axis)
    return spread_planes(np.logical_or.reduce(mask, axis=others), count, keep)


def spread_planes(touched: NDArray[np.bool_], count: int, keep: Sequence[int] = ()) -> list[int]:
    """Up to `count` of the planes, evenly of those that are True in `touched`; of all when none is. keep: planes that
    are among them before any other, so that each of several small things is seen."""
    kept = list(dict.fromkeys(int(k) for k in keep))[:count]
    met = np.setdiff1d(np.flatnonzero(touched) if touched.any() else np.arange(len(touched)), kept)
    room = min(count - len(kept), len(met))
    # The outermost planes show a speck at best: a small step inward.
    inset = (len(met) - 1) / (4 * room) if room else 0.0
    return sorted({*kept, *(int(met[round(float(at))]) for at in np.linspace(inset, len(met) - 1 - inset, room))})


def find_widest(mask: Mask, axis: int = 0) -> int:
    """The plane across `axis` on which most of `mask` is seen; the middle one when it is empty."""
    areas = np.count_nonzero(mask, axis=tuple(n for n in range(3) if n != axis))
    return int(areas.argmax()) if areas.any() else mask.shape[axis] // 2


def draw_sheet(
    volume: Volume,
    tiles: Sequence[Tile],
    window: tuple[float, float],
    above: Sequence[Line],
    beneath: Sequence[Line],
    lettering: Lettering,
) -> Picture:
    """The sheet as RGB (height, WIDTH, 3): lines, tiles from left to right, lines.

    Planes are shown as they are stored, rows across, with the patient's sides at their left and upper edges, in true
    proportions. window: lower and upper limit of gray.
    """
    columns = min(MOST_COLUMNS, int(np.ceil(np.sqrt(1.25 * len(tiles)))))
    room = WIDTH // columns - GAP
    spacing = volume.spacing[1:]
    size = find_size((volume.shape[1], volume.shape[2]), spacing, (room, room))
    pen = _Pen(lettering)
    top, bottom = pen.lay(above), pen.lay(beneath)
    rows = -(-len(tiles) // columns)
    height = _height(top) + rows * (size[0] + GAP) + _height(bottom)
    page = Image.new("RGB", (WIDTH, height), PAPER)
    draw = ImageDraw.Draw(page)
    pen.write(draw, top, 0)
    sides = name_side(-volume.affine[:3, 2]), name_side(-volume.affine[:3, 1])
    for n, tile in enumerate(tiles):
        at = (n % columns * (room + GAP) + (room - size[1]) // 2, _height(top) + n // columns * (size[0] + GAP))
        shown = shade(volume.voxels[tile.k], window, tile.parts, size)
        page.paste(Image.fromarray(shown if tile.shares is None else heat(shown, tile.shares)), at)
        _caption(draw, pen, (*at, *size), tile.caption, sides)
        for (mask, _), name in zip(tile.parts, tile.names, strict=False):
            _name_part(draw, pen, (*at, *size), mask, name)
    pen.write(draw, bottom, height - _height(bottom))
    return np.asarray(page)


def draw_words(lines: Sequence[Line], lettering: Lettering) -> Picture:
    """A sheet of lines alone, as RGB (height, WIDTH, 3)."""
    pen = _Pen(lettering)
    laid = pen.lay(lines)
    page = Image.new("RGB", (WIDTH, _height(laid)), PAPER)
    pen.write(ImageDraw.Draw(page), laid, 0)
    return np.asarray(page)


def name_side(direction: NDArray[np.float64]) -> str:
    """Where a direction (LPS) points: "A", or "AR" when it leans aside, the strongest first (PS3.3 C.7.6.1.1.1)."""
    unit = direction / np.linalg.norm(direction)
    order = sorted(range(3), key=lambda axis: -abs(unit[axis]))
    return "".join(SIDES[axis][int(unit[axis] > 0)] for axis in order if abs(unit[axis]) > ASIDE)


def _caption(
    draw: ImageDraw.ImageDraw, pen: "_Pen", box: tuple[int, int, int, int], text: str, sides: tuple[str, str]
) -> None:
    """`text` in the lower left corner of the tile at `box` (left, top, height, width), `sides` at left and top."""
    left, top, height, width = box
    pen.put(draw, (left + 4, top + height - SMALL - 6), text, SMALL, INK)
    pen.put(draw, (left + 4, top + height // 2 - SMALL // 2), sides[0], SMALL, FAINT)
    pen.put(draw, (left + width // 2 - SMALL // 3, top + 2), sides[1], SMALL, FAINT)


def _name_part(draw: ImageDraw.ImageDraw, pen: "_Pen", box: tuple[int, int, int, int], mask: Mask, name: str) -> None:
    """`name` at the upper right of what `mask` shows on the tile at `box` (left, top, height, width)."""
    left, top, height, width = box
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x = left + (columns[-1] + 1) / mask.shape[1] * width + 2
    y = top + rows[0] / mask.shape[0] * height - SMALL
    pen.put(draw, (min(x, left + width - SMALL), max(y, top)), name, SMALL, INK)


def find_number(label: str) -> str:
    """ "3" of "Nodule 3", which tells it from others of its color; "" of a label that does not end in a number."""
    last = label.rpartition(" ")[2]
    return last if last.isdigit() else ""


def _height(lines: Sequence[Line]) -> int:
    return sum(_step(line) for line in lines) + MARGIN if lines else 0


def _step(line: Line) -> int:
    return line.size * 4 // 3


class _Pen:
    """Writes with the faces of a lettering; a font is loaded once for each size."""

    def __init__(self, lettering: Lettering) -> None:
        self._lettering = lettering
        self._fonts: dict[tuple[Any, int], Any] = {}

    def lay(self, lines: Sequence[Line]) -> list[Line]:
        """`lines` broken between words so that each fits on the sheet; a patch of color stays with the first part."""
        laid: list[Line] = []
        for line in lines:
            color = line.color
            for text in self._wrap(self._lettering.make_writable(line.text), line.size):
                laid.append(Line(text, line.size, line.ink, color))
                color = None
        return laid

    def write(self, draw: ImageDraw.ImageDraw, lines: Sequence[Line], top: int) -> None:
        """Laid lines, one under the other, from `top`."""
        y = top + MARGIN // 2
        for line in lines:
            x = MARGIN
            if line.color is not None:
                draw.rectangle((x, y + 2, x + line.size, y + line.size), fill=line.color)
                x += 2 * line.size
            self.put(draw, (x, y), line.text, line.size, line.ink)
            y += _step(line)

    def put(self, draw: ImageDraw.ImageDraw, at: tuple[float, float], text: str, size: int, ink: Color) -> None:
        """`text` with its upper left corner at `at`, edged darkly so that it is read on a bright image too."""
        x, y = at
        for font, run in self._runs(text, size):
            draw.text((x, y + size), run, fill=ink, font=font, anchor="ls", stroke_width=1, stroke_fill=PAPER)
            x += font.getlength(run)

    def _wrap(self, text: str, size: int) -> Iterator[str]:
        line = ""
        for word in text.split():
            longer = f"{line} {word}" if line else word
            if line and self._measure(longer, size) > WIDTH - 3 * MARGIN - 2 * size:
                yield line
                line = word
            else:
                line = longer
        yield line

    def _measure(self, text: str, size: int) -> float:
        return sum(float(font.getlength(run)) for font, run in self._runs(text, size))

    def _runs(self, text: str, size: int) -> Iterator[tuple[Any, str]]:
        for face, run in self._lettering.cut_runs(text):
            key = (face, size)
            if key not in self._fonts:
                self._fonts[key] = ImageFont.load_default(size) if face is None else ImageFont.truetype(face.path, size)
            yield self._fonts[key], run
