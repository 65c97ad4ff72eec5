"""A plane of gray with colored parts on it: pure drawing, arrays in, arrays out."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

Gray = NDArray[np.float32]
Mask = NDArray[np.bool_]
Color = tuple[int, int, int]
Picture = NDArray[np.uint8]

OPACITY = 0.3
"""Of the fill; the outline is opaque."""
HEAT_OPACITY = 0.65
"""Of the highest value of a map; the lowest is clear."""
WARM, HOT = (230.0, 60.0, 20.0), (255.0, 235.0, 90.0)
"""Of values half way up, and of the highest."""


def find_size(shape: tuple[int, int], spacing: tuple[float, float], limit: tuple[int, int]) -> tuple[int, int]:
    """(height, width) in pixels that shows a plane of `shape` (rows, columns) with `spacing` (mm between rows, between
    columns) undistorted and as large as fits into `limit` (height, width)."""
    height, width = shape[0] * spacing[0], shape[1] * spacing[1]
    scale = min(limit[0] / height, limit[1] / width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def shade(
    gray: Gray, window: tuple[float, float], parts: Sequence[tuple[Mask, Color]], size: tuple[int, int]
) -> Picture:
    """`gray` (rows, columns) between the limits of `window` as RGB of `size` (height, width), with each part filled
    faintly and outlined just within its edge."""
    low, high = window
    share = np.clip((gray - low) / max(high - low, 1e-6), 0.0, 1.0)
    image = Image.fromarray((share * 255).astype(np.uint8)).resize(size[::-1], Image.Resampling.BILINEAR)
    picture = np.repeat(np.asarray(image, dtype=np.float32)[..., None], 3, axis=2)
    for mask, color in parts:
        shown = enlarge(mask, size)
        picture[shown] = (1 - OPACITY) * picture[shown] + OPACITY * np.array(color, dtype=np.float32)
        picture[find_outline(shown)] = color
    return np.rint(picture).astype(np.uint8)


def heat(picture: Picture, shares: Gray, opacity: float = HEAT_OPACITY) -> Picture:
    """`picture` (height, width, 3) under a map: shares (rows, columns), 0..1, clear to opaque, red to yellow."""
    size = (picture.shape[1], picture.shape[0])
    share = np.asarray(Image.fromarray(shares.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
    share = np.clip(share, 0.0, 1.0)[..., None]
    color = np.array(WARM, np.float32) + share * (np.array(HOT, np.float32) - np.array(WARM, np.float32))
    cover = opacity * share
    warm: Picture = np.rint((1 - cover) * picture + cover * color).astype(np.uint8)
    return warm


def enlarge(mask: Mask, size: tuple[int, int]) -> Mask:
    """`mask` at the display's `size` (height, width), its edges kept hard; where that is smaller than the mask, a pixel
    with any part of it counts, so that nothing small is lost."""
    shrinks = size[0] < mask.shape[0] or size[1] < mask.shape[1]
    way = Image.Resampling.BOX if shrinks else Image.Resampling.NEAREST
    return np.asarray(Image.fromarray(mask.astype(np.uint8) * np.uint8(255)).resize(size[::-1], way)) > 0


def find_outline(mask: Mask) -> Mask:
    """The pixels of `mask` that have a neighbor outside of it; the picture's own border is no outside."""
    inner: Mask = ndimage.binary_erosion(mask, border_value=1)
    return mask & ~inner
