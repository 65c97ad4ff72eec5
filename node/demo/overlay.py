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
D50 = (0.9642, 1.0, 0.8249)
"""White of the PCS in which DICOM's CIELab is meant (PS3.3 C.10.7.1.1)."""
XYZ_TO_RGB = np.array([[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]])
"""From XYZ under D50 to linear sRGB (Bradford adaptation)."""


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


def enlarge(mask: Mask, size: tuple[int, int]) -> Mask:
    """`mask` at the display's `size` (height, width), its edges kept hard."""
    image = Image.fromarray(mask.astype(np.uint8)).resize(size[::-1], Image.Resampling.NEAREST)
    return np.asarray(image) > 0


def find_outline(mask: Mask) -> Mask:
    """The pixels of `mask` that have a neighbor outside of it; the picture's own border is no outside."""
    inner: Mask = ndimage.binary_erosion(mask, border_value=1)
    return mask & ~inner


def from_cielab(value: Sequence[int]) -> Color:
    """sRGB 0-255 of a Recommended Display CIELab Value: three unsigned 16 bit integers (PS3.3 C.10.7.1.1)."""
    lightness, a, b = (v / 65535 for v in value)
    fy = (lightness * 100 + 16) / 116
    f = np.array([fy + (a * 255 - 128) / 500, fy, fy - (b * 255 - 128) / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50
    linear = np.clip(XYZ_TO_RGB @ xyz, 0.0, 1.0)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (int(v) for v in np.rint(255 * encoded))
    return red, green, blue
