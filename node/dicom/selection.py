"""Choosing the one stack of a study that a pipeline reads, and saying which one and why the others not."""

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

import numpy as np

from node.dicom.header import Frame, find_frames
from node.dicom.stack import Stack
from node.dicom.stacking import Refusal
from node.errors import NoMatchingSeries, TooFewSlices
from pipelines.terms import Requires

NOT_ACQUIRED = {
    "LOCALIZER": "a localizer",
    "PROJECTION IMAGE": "a projection",
    "MIP": "a projection",
    "MINIP": "a projection",
    "MAXIMUM INTENSITY PROJECTION": "a projection",
    "MAX_IP": "a projection",
    "MIN_IP": "a projection",
    "VOLUME RENDERING": "a rendering",
    "SURFACE RENDERING": "a rendering",
    "REFORMATTED": "a reformation",
    "MPR": "a reformation",
    "CSA MPR": "a reformation",
    "SCREEN SAVE": "a screen capture",
    "SUBTRACTION": "a subtraction",
    "SUBTRACT": "a subtraction",
}
"""Values of Image Type, or of Frame Type's "how it was derived" (PS3.3 C.7.6.1.1.2, C.8.16.1.4), of what is made
from a stack rather than acquired."""
NOT_ANATOMY = {
    "P": "a phase image",
    "PHASE": "a phase image",
    "PHASE MAP": "a phase image",
    "R": "a real part",
    "REAL": "a real part",
    "I": "an imaginary part",
    "IMAGINARY": "an imaginary part",
    "VELOCITY": "a velocity map",
    "VELOCITY MAP": "a velocity map",
    "FIELD_MAP": "a field map",
    "B0 MAP": "a field map",
    "ADC": "a diffusion map",
    "FA": "a diffusion map",
}
"""Values of the same attributes in MR that stand for no picture of anatomy."""
HU_TYPES = ("", "HU", "US")
"""Rescale Types of a CT that are Hounsfield units, or unspecified, which by PS3.3 C.11.1.1.2 means HU in CT."""
TIE = 0.95
"""A stack of this share of the longest one's extent counts as equally long."""
THIN_MM = 1.0
"""Below this distance between planes, thinner is no better."""


def choose_stack(
    stacks: Sequence[Stack], refusals: Sequence[Refusal], requires: Requires
) -> tuple[Stack, tuple[str, ...]]:
    """The stack that a pipeline with `requires` reads, and sentences on the choice (no names, no descriptions).

    Never eligible: localizers, projections, reformations, renderings, captures; in MR phase and parameter maps; in CT
    other units than HU. Of the eligible ones:
      1. originals before derived images,
      2. the greatest extent along the normal (planes times their distance); within 5 % all count as equal,
      3. the least distance between planes, all below 1 mm counting as equal,
      4. the lowest Series Number, then the shortest Echo Time, then the order in which they were given.
    Raises, when none is eligible, the error by which the only sensible candidate was refused (a series of the
    right modality, and no crumbs of one or two planes where there is more); else NoMatchingSeries, whose sentence
    tells for each series why not.
    """
    reasons = [_why_not(stack, requires) for stack in stacks]
    eligible = [stack for stack, reason in zip(stacks, reasons, strict=True) if reason is None]
    if not eligible:
        _raise_none(stacks, reasons, refusals, requires)
    chosen = _best(eligible)
    passed = [
        f"{_name(stack)} was not read: {reason or 'it suits too, and ranks lower'}."
        for stack, reason in zip(stacks, reasons, strict=True)
        if stack is not chosen
    ]
    refused = [f"{_number(refusal.first)} was not read: {refusal.error}." for refusal in refusals]
    return chosen, (f"{_name(chosen)} was read.", *passed, *refused)


def _best(eligible: Sequence[Stack]) -> Stack:
    original = [stack for stack in eligible if "DERIVED" not in _image_type(stack)] or eligible
    longest = max(_extent(stack) for stack in original)
    long = [stack for stack in original if _extent(stack) >= TIE * longest]
    return min(long, key=lambda stack: (max(_spacing(stack), THIN_MM), _series_order(stack), _echo_time(stack) or inf))


def _why_not(stack: Stack, requires: Requires) -> str | None:
    """Why `stack` is not what the pipeline reads, in words; None when it is."""
    if stack.modality != requires.modality:
        return f"its modality is {stack.modality}, not {requires.modality}"
    return next((reason for test in _TESTS if (reason := test(stack, requires)) is not None), None)


def _not_acquired(stack: Stack, requires: Requires) -> str | None:
    return _derivation(_image_type(stack), stack.modality)


def _other_unit(stack: Stack, requires: Requires) -> str | None:
    unit = str(_frame(stack).get("RescaleType") or "").upper()
    return f"its values are {unit}, not HU" if stack.modality == "CT" and unit not in HU_TYPES else None


def _too_few(stack: Stack, requires: Requires) -> str | None:
    planes = stack.shape[0]
    return f"it has {planes} planes of at least {requires.min_planes}" if planes < requires.min_planes else None


def _wrong_spacing(stack: Stack, requires: Requires) -> str | None:
    low, high = requires.spacing_mm
    spacing = _spacing(stack)
    # Headers round: a plane distance of 1.0000001 mm is still 1 mm.
    if low - 1e-3 <= spacing <= high + 1e-3:
        return None
    return f"its planes are {spacing:.2f} mm apart, not {low:g} to {high:g} mm"


def _coarse_pixels(stack: Stack, requires: Requires) -> str | None:
    pixel = float(np.linalg.norm(stack.affine[:3, 1:3], axis=0).max())
    if requires.pixel_mm is None or pixel <= requires.pixel_mm + 1e-3:
        return None
    return f"its pixels are {pixel:.2f} mm, more than {requires.pixel_mm:g} mm"


def _too_short(stack: Stack, requires: Requires) -> str | None:
    extent = _extent(stack)
    if requires.extent_mm is None or extent >= requires.extent_mm - 1e-3:
        return None
    return f"it is {extent:.0f} mm long, less than {requires.extent_mm:g} mm"


def _turned(stack: Stack, requires: Requires) -> str | None:
    if not requires.orientations or stack.orientation in requires.orientations:
        return None
    return f"it is {stack.orientation}, not {' or '.join(requires.orientations)}"


def _late_echo(stack: Stack, requires: Requires) -> str | None:
    if requires.echo_time_ms is None:
        return None
    echo = _echo_time(stack)
    if echo is None:
        return "it does not say its Echo Time"
    return None if echo <= requires.echo_time_ms else f"its Echo Time is {echo:g} ms, over {requires.echo_time_ms:g} ms"


_TESTS: tuple[Callable[[Stack, Requires], str | None], ...] = (
    _not_acquired,
    _other_unit,
    _too_few,
    _wrong_spacing,
    _coarse_pixels,
    _too_short,
    _turned,
    _late_echo,
)


def _raise_none(
    stacks: Sequence[Stack], reasons: Sequence[str | None], refusals: Sequence[Refusal], requires: Requires
) -> None:
    sensible = [refusal for refusal in refusals if _is_sensible(refusal, requires)]
    whole = [refusal for refusal in sensible if not isinstance(refusal.error, TooFewSlices)] or sensible
    if len(whole) == 1:
        raise whole[0].error
    told = [f"{_name(stack)}: {reason}" for stack, reason in zip(stacks, reasons, strict=True)]
    told += [f"{_number(refusal.first)}: {refusal.error}" for refusal in refusals]
    raise NoMatchingSeries(f"no series is what the pipeline reads. {'; '.join(told) or 'There is none at all'}.")


def _is_sensible(refusal: Refusal, requires: Requires) -> bool:
    """True when the pipeline might have read these images, had they made a stack."""
    modality = str(refusal.first.get("Modality") or "")
    kind = _tokens(Frame(refusal.first, 1))
    return (
        modality == requires.modality
        and not isinstance(refusal.error, NoMatchingSeries)
        and _derivation(kind, modality) is None
    )


def _derivation(kind: Sequence[str], modality: str) -> str | None:
    names = NOT_ACQUIRED | NOT_ANATOMY if modality == "MR" else NOT_ACQUIRED
    return next((f"it is {names[token]}" for token in kind[2:] if token in names), None)


def _frame(stack: Stack) -> Frame:
    """The frame of the first plane, which speaks for the stack."""
    index, number = stack.frames[0]
    return find_frames(stack.headers[index], [number])[0]


def _image_type(stack: Stack) -> list[str]:
    return _tokens(_frame(stack))


def _tokens(frame: Frame) -> list[str]:
    value: Any = frame.get("FrameType") or frame.get("ImageType") or ()
    return [str(token).upper() for token in ([value] if isinstance(value, str) else value)]


def _echo_time(stack: Stack) -> float | None:
    frame = _frame(stack)
    value = frame.get("EffectiveEchoTime")
    value = frame.get("EchoTime") if value is None else value
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _spacing(stack: Stack) -> float:
    return round(float(np.linalg.norm(stack.affine[:3, 0])), 3)


def _extent(stack: Stack) -> float:
    return stack.shape[0] * _spacing(stack)


def _series_order(stack: Stack) -> float:
    try:
        return float(stack.first.get("SeriesNumber", inf))
    except (TypeError, ValueError):
        return inf


def _number(header: Any) -> str:
    number = header.get("SeriesNumber")
    return f"Series {header.SeriesInstanceUID}" if number is None else f"Series {number}"


def _name(stack: Stack) -> str:
    """What may be said of a series without its description, which people fill with anything."""
    kernel = stack.first.get("ConvolutionKernel")
    words = [f"{stack.shape[0]} {stack.orientation} planes {_spacing(stack):g} mm apart"]
    if kernel:
        words.append(f"kernel {kernel if isinstance(kernel, str) else ' '.join(map(str, kernel))}")
    return f"{_number(stack.first)} ({', '.join(words)})"
