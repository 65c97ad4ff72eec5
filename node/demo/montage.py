"""What the PACS got, as one picture: planes of the source images with the segments of a Segmentation drawn on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset, dcmread

from node.demo.parts import Part, find_sources, read_parts
from node.dicom.overlay import Color, Gray, Mask, find_size, shade
from node.dicom.sheet import FAINT, INK, PAPER, choose_planes, choose_window, find_widest
from node.dicom.stack import Stack
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.dicom.wording import FOOTNOTE
from pipelines.terms import Affine, Volume

AXIAL_PLANES = 12
COLUMNS, TILE, CUT = 4, 256, 384
"""Axial pictures in a row; height and width of each, and of the coronal and sagittal ones, in pixels."""
HEADER, FOOTER = 44, 36
LEGEND_STEP, LEGEND_COLUMNS, LONGEST_BESIDE = 26, 3, 24
"""Height of a line of the legend; how many columns it has where it goes beneath the pictures, as it does when it has
too many lines or one with more characters than that to stand beside them."""
Sample = TypeVar("Sample", bound=np.generic)

DISPLAY = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Rows: the directions (LPS) in which the axes k, j, i of a picture run: to the feet, the back, the left."""


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """Volume and parts turned by whole axes, so that axes k, j, i run nearly to the feet, the back and the left."""

    voxels: NDArray[np.float32]
    spacing: tuple[float, ...]
    parts: tuple[tuple[Mask, Color], ...]
    window: tuple[float, float]

    def cut(self, axis: int, index: int, limit: int) -> NDArray[np.uint8]:
        """The plane `index` across `axis` as RGB that fits into a square of `limit` pixels."""
        plane: Gray = take_plane(self.voxels, index, axis)
        rows, columns = (step for n, step in enumerate(self.spacing) if n != axis)
        size = find_size((plane.shape[0], plane.shape[1]), (rows, columns), (limit, limit))
        return shade(plane, self.window, [(take_plane(mask, index, axis), color) for mask, color in self.parts], size)


def take_plane(array: NDArray[Sample], index: int, axis: int) -> NDArray[Sample]:
    """The plane `index` across `axis`, as a view."""
    plane: NDArray[Sample] = np.moveaxis(array, axis, 0)[index]
    return plane


def montage(seg_path: Path, image_paths: Sequence[Path], out: Path, title: str) -> Path:
    """Draw the BINARY Segmentation at `seg_path` on the images among `image_paths` that it refers to; returns `out`.

    Twelve axial planes across the segments, a coronal and a sagittal one, a legend; PNG. Any orientation of the
    images: planes are cut along the volume's own axes nearest to the patient's. `title` is printed as it is: no name.
    Raises ValueError when the Segmentation does not belong to the images.
    """
    seg = dcmread(seg_path)
    stack = _find_stack(seg, image_paths)
    parts = read_parts(seg, stack)
    scene = set_scene(load_volume(stack), parts)
    page = _draw_page(scene, parts, title)
    page.save(out, format="PNG")
    return out


def set_scene(volume: Volume, parts: Sequence[Part]) -> Scene:
    """`volume` and the masks of `parts` as they are looked at."""
    axes, backward = find_turn(volume.affine)

    def turn(array: NDArray[Sample]) -> NDArray[Sample]:
        return np.flip(array.transpose(axes), backward)

    spacing = tuple(volume.spacing[axis] for axis in axes)
    masks = tuple((turn(part.mask), part.color) for part in parts)
    return Scene(
        turn(volume.voxels), spacing, masks, choose_window(volume, [(volume.voxels, part.mask) for part in parts])
    )


def find_turn(affine: Affine) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """(axes, backward): which axis of the volume becomes k, j and i of the picture, and which of these to reverse."""
    cosines = DISPLAY @ (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0))
    axes = max(permutations(range(3)), key=lambda order: sum(abs(cosines[n, axis]) for n, axis in enumerate(order)))
    return axes, tuple(n for n, axis in enumerate(axes) if cosines[n, axis] < 0)


def _find_stack(seg: Dataset, image_paths: Sequence[Path]) -> Stack:
    """The stack that holds most of the images to which `seg` refers."""
    sources = find_sources(seg)
    stacks, _ = read_stacks(image_paths)
    if not stacks:
        raise ValueError("the images make no stack")
    best = max(stacks, key=lambda stack: sum(str(header.SOPInstanceUID) in sources for header in stack.headers))
    if sources and not any(str(header.SOPInstanceUID) in sources for header in best.headers):
        raise ValueError("none of the images is one that the segmentation refers to")
    return best


def _draw_page(scene: Scene, parts: Sequence[Part], title: str) -> Image.Image:
    union = np.logical_or.reduce([mask for mask, _ in scene.parts])
    widest = [find_widest(mask) for mask, _ in scene.parts if mask.any()]
    tiles = [(scene.cut(0, k, TILE), "R", "A") for k in choose_planes(union, 0, AXIAL_PLANES, widest)]
    coronal, sagittal = (find_widest(union, axis) for axis in (1, 2))
    rows = -(-len(tiles) // COLUMNS)
    width, top = COLUMNS * TILE, HEADER + rows * TILE
    beside = len(parts) * LEGEND_STEP < CUT and all(len(part.label) <= LONGEST_BESIDE for part in parts)
    beneath = 0 if beside else -(-len(parts) // LEGEND_COLUMNS) * LEGEND_STEP
    page = Image.new("RGB", (width, top + CUT + beneath + FOOTER), PAPER)
    for n, (picture, left, above) in enumerate(tiles):
        _paste(page, picture, ((n % COLUMNS) * TILE, HEADER + n // COLUMNS * TILE), TILE, (left, above))
    _paste(page, scene.cut(1, coronal, CUT), (0, top), CUT, ("R", "S"))
    _paste(page, scene.cut(2, sagittal, CUT), (CUT, top), CUT, ("A", "S"))
    draw = ImageDraw.Draw(page)
    draw.text((12, 12), title, fill=INK, font=ImageFont.load_default(20))
    draw.text((12, page.height - FOOTER + 9), FOOTNOTE, fill=INK, font=ImageFont.load_default(16))
    if beside:
        _draw_legend(draw, parts, (2 * CUT + 16, top + 20), len(parts))
    else:
        _draw_legend(draw, parts, (12, top + CUT + 10), beneath // LEGEND_STEP)
    return page


def _paste(
    page: Image.Image, picture: NDArray[np.uint8], at: tuple[int, int], room: int, sides: tuple[str, str]
) -> None:
    """A picture in the middle of its square, with the patient's sides at its left and upper edges."""
    height, width = picture.shape[:2]
    page.paste(Image.fromarray(picture), (at[0] + (room - width) // 2, at[1] + (room - height) // 2))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(13)
    for place, side in (((at[0] + 4, at[1] + room // 2 - 8), sides[0]), ((at[0] + room // 2 - 4, at[1] + 2), sides[1])):
        draw.text(place, side, fill=FAINT, font=font, stroke_width=1, stroke_fill=PAPER)


def _draw_legend(draw: ImageDraw.ImageDraw, parts: Sequence[Part], at: tuple[int, int], rows: int) -> None:
    """Beneath each other from `at`, in as many columns as it takes with `rows` in each."""
    for n, part in enumerate(parts):
        x, y = at[0] + n // rows * (COLUMNS * TILE // LEGEND_COLUMNS), at[1] + n % rows * LEGEND_STEP
        draw.rectangle((x, y, x + 16, y + 16), fill=part.color)
        draw.text((x + 26, y), part.label, fill=INK, font=ImageFont.load_default(15))
