"""How the images of a stack turn stored values into gray, said once more in a presentation state.

A presentation state replaces what the images say of themselves (PS3.4 N.2.1): what it leaves out is the identity. So
rescale and window are taken over from the source. A modality transform in it holds for all images; where they differ
in theirs, it stays the identity, and each image's window is given in its stored values.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset
from pydicom.valuerep import DSfloat

from node.dicom.header import Frame, find_frames
from node.dicom.plane_reference import reference_planes
from node.dicom.stack import Stack
from node.errors import EncodingError

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
LINEAR = FUNCTIONS[0]


@dataclass(frozen=True, slots=True)
class Rescale:
    """From stored values to values: times slope, plus intercept."""

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True, slots=True)
class Window:
    """Center and width in rescaled values, and the function between (PS3.3 C.11.2.1.2, C.11.2.1.3)."""

    center: float
    width: float
    function: str = LINEAR

    def before(self, rescale: Rescale) -> "Window":
        """The same in stored values."""
        width = self.width / rescale.slope
        return Window(
            (self.center - rescale.intercept) / rescale.slope,
            max(width, 1.0) if self.function == LINEAR else width,
            self.function,
        )


def add_grayscale(ds: Dataset, stack: Stack, limits: tuple[float, float] | None) -> None:
    """Modality LUT, Softcopy VOI LUT and Softcopy Presentation LUT (PS3.3 C.11.1, C.11.8, C.11.6) for all planes.

    limits: lowest and highest value to tell apart on planes whose source gives no window; None leaves those as they
    are. Raises EncodingError for a Modality LUT Sequence or a negative slope, which no window can express.
    """
    frames = [find_frames(stack.headers[index], [number])[0] for index, number in stack.frames]
    rescales = [_read_rescale(frame) for frame in frames]
    windows = [_read_window(frame) or _spread(limits) for frame in frames]
    if len(set(rescales)) == 1:
        ds.update(_modality_transform(rescales[0], stack.modality))
    else:
        windows = [
            window.before(rescale) if window is not None else None
            for window, rescale in zip(windows, rescales, strict=True)
        ]
    if items := list(_window_items(stack, windows)):
        ds.SoftcopyVOILUTSequence = items
    inverse = frames[0].get("PhotometricInterpretation") == "MONOCHROME1"
    ds.PresentationLUTShape = "INVERSE" if inverse else "IDENTITY"


def _read_rescale(frame: Frame) -> Rescale:
    if frame.get("ModalityLUTSequence") is not None:
        raise EncodingError(f"instance {frame.header.SOPInstanceUID} has a Modality LUT Sequence: it is not taken over")
    slope, intercept = frame.get("RescaleSlope"), frame.get("RescaleIntercept")
    found = Rescale(1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept))
    if found.slope <= 0:
        raise EncodingError(f"instance {frame.header.SOPInstanceUID}: its Rescale Slope is {found.slope}")
    return found


def _read_window(frame: Frame) -> Window | None:
    """The first window of a source frame; None when it has none that can be used."""
    center, width = (_first(frame.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    function = str(frame.get("VOILUTFunction") or LINEAR)
    if center is None or width is None or function not in FUNCTIONS:
        return None
    return Window(center, width, function) if width >= (1.0 if function == LINEAR else 1e-9) else None


def _first(value: Any) -> float | None:
    """The first of one or more numbers; None when there is none."""
    try:
        return float(value if isinstance(value, str | float | int) else next(iter(value)))
    except (StopIteration, TypeError, ValueError):
        return None


def _spread(limits: tuple[float, float] | None) -> Window | None:
    """The window whose darkest and brightest values are `limits`."""
    if limits is None:
        return None
    low, high = limits
    return Window((low + high) / 2 + 0.5, max(high - low, 0.0) + 1.0)


def _modality_transform(rescale: Rescale, modality: str) -> Dataset:
    item = Dataset()
    if rescale != Rescale() or modality == "CT":
        item.RescaleIntercept, item.RescaleSlope = _ds(rescale.intercept), _ds(rescale.slope)
        item.RescaleType = "HU" if modality == "CT" else "US"
    return item


def _window_items(stack: Stack, windows: list[Window | None]) -> Iterator[Dataset]:
    """One item a window; it names its images unless it is that of all."""
    for window in dict.fromkeys(windows):
        if window is None:
            continue
        item = Dataset()
        if len(set(windows)) > 1:
            planes = [k for k, own in enumerate(windows) if own == window]
            item.ReferencedImageSequence = reference_planes(stack, planes)
        item.WindowCenter, item.WindowWidth = _ds(window.center), _ds(window.width)
        if window.function != LINEAR:
            item.VOILUTFunction = window.function
        yield item


def _ds(value: float) -> DSfloat:
    return DSfloat(value + 0.0, auto_format=True)
