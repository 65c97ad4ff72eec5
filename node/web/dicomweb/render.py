"""Pictures of frames for people who have no DICOM viewer (PS3.18 8.3.5, 10.4.1.1.3): window, region, size, format.

In:  one frame as it is stored.   Out: PNG, JPEG or GIF of 8 bits a sample.
"""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut, apply_voi_lut, convert_color_space
from pydicom.uid import UID

from node.dicom import jpeg
from node.dicom.header import DAMAGE, Frame, count_frames, find_frames, find_value, is_damage
from node.dicom.pixels import PLUGINS
from node.web.dicomweb.problem import Problem

jpeg.register()

PNG, JPEG, GIF = "image/png", "image/jpeg", "image/gif"
FUNCTIONS = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
LARGEST = 4096
"""Pixels along an edge of a picture that is asked for."""
FARTHEST = 65535
"""Pixels along an edge of a frame (PS3.3 C.7.6.3.1: Rows and Columns are US)."""
MOST_PIXELS = 1 << 27
"""Of all pictures of a GIF together: its writer holds them until it has seen the last."""
THUMBNAIL = (128, 128)


@dataclass(frozen=True, slots=True)
class View:
    """What is asked of a picture.

    window: center, width, function (PS3.3 C.11.2.1.2, C.11.2.1.3). size: (width, height) that it must fit into.
    region: (x, y, width, height) of the frame; negative sizes flip. quality: of JPEG, 1..100.
    """

    window: tuple[float, float, str] | None = None
    size: tuple[int, int] | None = None
    region: tuple[float, float, float, float] | None = None
    quality: int = 90


def read_view(parameters: Mapping[str, str], *, thumbnail: bool = False) -> View:
    """(PS3.18 8.3.5.1). Raises Problem 400 naming the parameter at fault."""
    window, size, region = None, THUMBNAIL if thumbnail else None, None
    if text := parameters.get("window"):
        center, width, *function = text.split(",")[:3] if text.count(",") in (1, 2) else ("", "")
        name = FUNCTIONS.get((function or ["linear"])[0].lower())
        numbers = _read_numbers("window", [center, width])
        if name is None or numbers[1] < (1 if name == "LINEAR" else 1e-9):
            raise Problem(400, "window is center,width[,linear|linear-exact|sigmoid] with a positive width")
        window = (numbers[0], numbers[1], name)
    if text := parameters.get("viewport"):
        size, region = _read_viewport(text.split(","))
    quality = int(_read_numbers("quality", [parameters.get("quality", "90")])[0])
    if not 1 <= quality <= 100:
        raise Problem(400, "quality is a number from 1 to 100")
    return View(window, size, region, quality)


def render(path: Path, number: int, view: View, kind: str) -> bytes:
    """Frame `number` (from 1) of the instance at `path` as a picture of media type `kind`.

    Raises Problem 404 when there is no such frame, 406 when it is no image or cannot be decoded, 410 when the file is
    gone.
    """
    return encode(draw(path, number, view), kind, view.quality)


def render_all(path: Path, view: View, most: int) -> bytes:
    """All frames, `most` at the utmost, as an animated GIF.

    Raises Problem like `render`, and 400 when the pictures are more than MOST_PIXELS together.
    """
    try:
        count = count_frames(dcmread(path, stop_before_pixels=True, force=True))
    except FileNotFoundError:
        raise Problem(410, f"{path.stem} is no longer here") from None
    numbers = range(1, count + 1, -(-count // most))
    first = draw(path, numbers[0], view)
    if first.width * first.height * len(numbers) > MOST_PIXELS:
        raise Problem(400, f"{len(numbers)} pictures of {first.width} x {first.height}: ask for a smaller viewport")
    return encode(first, GIF, view.quality, (draw(path, number, view) for number in numbers[1:]))


def draw(path: Path, number: int, view: View) -> Image.Image:
    """See `render`."""
    try:
        dataset = dcmread(path, force=True, defer_size="64 KB" if path.stat().st_size > 1 << 26 else None)
        if find_value(dataset, "Rows") is None:
            raise Problem(406, "it has no pixels: there is no picture of it")
        if number > count_frames(dataset):
            raise Problem(404, f"it has {count_frames(dataset)} frames, not {number}")
        return _fit(Image.fromarray(_to_gray_or_color(dataset, number, view)), dataset, view)
    except FileNotFoundError:
        raise Problem(410, f"{path.stem} is no longer here") from None
    except (*DAMAGE, OSError) as error:
        if not is_damage(error):
            raise
        raise Problem(406, f"its pixels cannot be decoded ({type(error).__name__})") from None


def encode(first: Image.Image, kind: str, quality: int, others: Iterable[Image.Image] = ()) -> bytes:
    """`first`, in a GIF followed by `others`, as a file of media type `kind`."""
    out = io.BytesIO()
    if kind == GIF:
        first.save(out, "GIF", save_all=True, append_images=others, duration=100, loop=0)
    elif kind == JPEG:
        first.save(out, "JPEG", quality=quality)
    else:
        first.save(out, "PNG", compress_level=3)
    return out.getvalue()


def _to_gray_or_color(dataset: Dataset, number: int, view: View) -> NDArray[np.uint8]:
    """(rows, columns) or (rows, columns, 3)."""
    syntax = UID(str(find_value(dataset.file_meta, "TransferSyntaxUID") or "1.2.840.10008.1.2"))
    samples = int(find_value(dataset, "SamplesPerPixel") or 1)
    plugin = PLUGINS.get(syntax, "") if samples == 1 else ""
    array, described = get_decoder(syntax).as_array(
        dataset, index=number - 1, raw=False, decoding_plugin=plugin if syntax.is_encapsulated else ""
    )
    photometric = str(described["photometric_interpretation"])
    if photometric == "PALETTE COLOR":
        return _to_eight_bits(apply_color_lut(array, dataset))
    if samples == 3:
        rgb = convert_color_space(array, photometric, "RGB") if photometric.startswith("YBR") else array
        return _to_eight_bits(rgb)
    return _to_gray(array, find_frames(dataset, [number])[0], view)


def _to_gray(stored: NDArray[np.generic], frame: Frame, view: View) -> NDArray[np.uint8]:
    """Modality LUT, VOI LUT or window, then 8 bits; MONOCHROME1 is dark where values are high (PS3.4 N.2)."""
    dataset = frame.header
    if frame.get("ModalityLUTSequence") is not None:
        values = np.asarray(apply_modality_lut(stored, dataset), np.float64)
    else:
        slope, intercept = frame.get("RescaleSlope"), frame.get("RescaleIntercept")
        values = stored.astype(np.float64) * float(1 if slope is None else slope) + float(intercept or 0)
    window = view.window or _find_window(frame)
    if window is None and frame.get("VOILUTSequence") is not None:
        table = np.asarray(apply_voi_lut(values.astype(np.int64), dataset), np.float64)
        gray = table / max(float(table.max()), 1.0)
    else:
        gray = _apply_window(values, window or _find_range(values, stored, frame))
    if frame.get("PhotometricInterpretation") == "MONOCHROME1" or frame.get("PresentationLUTShape") == "INVERSE":
        gray = 1.0 - gray
    return np.asarray(np.rint(gray * 255.0), np.uint8)


def _apply_window(values: NDArray[np.float64], window: tuple[float, float, str]) -> NDArray[np.float64]:
    """0..1 (PS3.3 C.11.2.1.2, C.11.2.1.3)."""
    center, width, function = window
    if function == "SIGMOID":
        return np.asarray(1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - center) / width, -60.0, 60.0))))
    if function == "LINEAR_EXACT":
        return np.asarray(np.clip((values - center) / width + 0.5, 0.0, 1.0))
    return np.asarray(np.clip((values - (center - 0.5)) / max(width - 1.0, 1e-9) + 0.5, 0.0, 1.0))


def _find_window(frame: Frame) -> tuple[float, float, str] | None:
    """The first window of the image itself."""
    center, width = (frame.get(word) for word in ("WindowCenter", "WindowWidth"))
    if center is None or width is None:
        return None
    first, second = (float(one if not isinstance(one, Iterable) else next(iter(one))) for one in (center, width))
    return (first, second, str(frame.get("VOILUTFunction") or "LINEAR")) if second >= 1e-9 else None


def _find_range(values: NDArray[np.float64], stored: NDArray[np.generic], frame: Frame) -> tuple[float, float, str]:
    """From the darkest to the brightest value, without padding."""
    padding = frame.get("PixelPaddingValue")
    seen = values[stored != padding] if isinstance(padding, int) and (stored != padding).any() else values
    low, high = float(np.nanmin(seen)), float(np.nanmax(seen))
    return (low + high) / 2, max(high - low, 1e-9), "LINEAR_EXACT"


def _to_eight_bits(color: NDArray[np.generic]) -> NDArray[np.uint8]:
    shift = color.dtype.itemsize * 8 - 8
    return np.asarray(np.right_shift(color, shift) if shift else color, np.uint8)


def _fit(picture: Image.Image, frame: Dataset, view: View) -> Image.Image:
    """The region that was asked for, turned where a size is negative, within the size, pixels square."""
    if view.region is not None:
        x, y, width, height = view.region
        box = (x, y, x + (abs(width) or picture.width - x), y + (abs(height) or picture.height - y))
        if (box[2] - x) * (box[3] - y) > max(picture.width * picture.height, LARGEST * LARGEST):
            raise Problem(400, "the region of viewport is larger than the image")
        picture = picture.crop(tuple(round(edge) for edge in box))  # type: ignore[arg-type]
        if width < 0:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if height < 0:
            picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if view.size is None:
        return picture
    tall = _find_aspect(frame)
    scale = min(view.size[0] / picture.width, view.size[1] / (picture.height * tall))
    size = (max(round(picture.width * scale), 1), max(round(picture.height * tall * scale), 1))
    return picture.resize(size, Image.Resampling.BILINEAR)


def _find_aspect(dataset: Dataset) -> float:
    """Height of a pixel over its width."""
    spacing = find_value(dataset, "PixelSpacing") or find_value(dataset, "PixelAspectRatio")
    try:
        return float(spacing[0]) / float(spacing[1])
    except (TypeError, IndexError, ZeroDivisionError, ValueError):
        return 1.0


def _read_viewport(parts: Sequence[str]) -> tuple[tuple[int, int], tuple[float, float, float, float] | None]:
    if len(parts) not in (2, 6):
        raise Problem(400, "viewport is width,height or width,height,x,y,width,height of the region")
    numbers = _read_numbers("viewport", [part or "0" for part in parts])
    size = (int(numbers[0]), int(numbers[1]))
    if not all(1 <= edge <= LARGEST for edge in size):
        raise Problem(400, f"viewport is from 1 to {LARGEST} pixels wide and high")
    if len(numbers) == 2:
        return size, None
    if min(numbers[2:4]) < 0 or max(map(abs, numbers[2:])) > FARTHEST:
        raise Problem(400, "the region of viewport lies beside the image")
    return size, (numbers[2], numbers[3], numbers[4], numbers[5])


def _read_numbers(name: str, parts: Sequence[str]) -> list[float]:
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        raise Problem(400, f"{name} is not made of numbers") from None
    if not np.isfinite(numbers).all():
        raise Problem(400, f"{name} is not made of numbers")
    return numbers
