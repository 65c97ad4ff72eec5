"""Choosing the one stack of a study that a pipeline reads, and saying which one and why the others not."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NoReturn

import numpy as np
from pydicom import Dataset

from node.dicom.header import Frame, find_frames, find_value
from node.dicom.input_gate import find_objection, read_image_type
from node.dicom.stack import Stack
from node.dicom.stacking import Refusal
from node.errors import InputError, NoMatchingSeries, TooFewSlices, WrongSampling, WrongView
from pipelines.terms import Requires

HU_TYPES = ("", "HU", "US")
"""Rescale Types of a CT in Hounsfield units: absent means HU (PS3.3 C.8.2.1), and many write "unspecified"."""
TIE = 0.95
"""A stack of this share of the longest one's extent counts as equally long."""
THIN_MM = 1.0
"""Below this distance between planes, thinner is no better."""
ROUNDING_MM = 1e-3
"""Headers round: planes 1.0001 mm apart fulfill "at most 1 mm"."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A stack with what is asked about it; lengths in mm, echo_time in ms (None when unknown). frame: of its first
    plane, which speaks for all."""

    stack: Stack
    frame: Frame
    image_type: list[str]
    rescale_type: str
    echo_time: float | None
    spacing: float
    extent: float

    @classmethod
    def of(cls, stack: Stack) -> "Candidate":
        """`stack` as the frame of its first plane describes it."""
        index, number = stack.frames[0]
        frame = find_frames(stack.headers[index], [number])[0]
        spacing = round(abs(float(stack.affine[:3, 0] @ stack.normal)), 3)
        return cls(
            stack,
            frame,
            read_image_type(frame),
            str(frame.get("RescaleType") or "").upper(),
            _number(frame.get("EffectiveEchoTime"), _number(frame.get("EchoTime"))),
            spacing,
            stack.shape[0] * spacing,
        )

    def __str__(self) -> str:
        """What may be said of a series: not its description, which people fill with anything."""
        kernel = find_value(self.stack.first, "ConvolutionKernel") or ()
        words = [f"{self.stack.shape[0]} {self.stack.orientation} planes {self.spacing:g} mm apart"]
        if kernel:
            words.append(f"kernel {kernel if isinstance(kernel, str) else ' '.join(map(str, kernel))}")
        return f"{_series(self.stack.first)} ({', '.join(words)})"


def choose_stack(
    stacks: Sequence[Stack], refusals: Sequence[Refusal], requires: Requires, manufacturer: str = ""
) -> tuple[Stack, tuple[str, ...]]:
    """The stack that a pipeline with `requires` reads, and sentences on the choice (no names, no descriptions).

    Never eligible: what node.dicom.input_gate objects to (manufacturer: of the pipeline); in CT other units than HU. Of
    the eligible ones:
      1. originals before derived images,
      2. the greatest extent along the normal (planes times their distance); within 5 % all count as equal,
      3. the least distance between planes, all below 1 mm counting as equal,
      4. the lowest Series Number, then the shortest Echo Time, then the order in which they were given.
    Raises, when none is eligible, the error by which the only sensible candidate was refused (a series of the
    right modality, and no crumbs of one or two planes where there is more); else the kind of NoMatchingSeries that
    keeps all series of the right modality out, or NoMatchingSeries itself, whose sentence tells for each why not.
    """
    candidates = [Candidate.of(stack) for stack in stacks]
    reasons = [_find_reason(candidate, requires, manufacturer) for candidate in candidates]
    eligible = [candidate for candidate, reason in zip(candidates, reasons, strict=True) if reason is None]
    refused = [_name_refusal(refusal, requires, manufacturer) for refusal in refusals]
    told = [f"{error}" for error in refused]
    if not eligible:
        unread = [type(e)(f"{one}: {e}") for one, e in zip(candidates, reasons, strict=True) if e is not None]
        _raise_none([*unread, *refused])
    chosen = _best(eligible)
    passed = [
        f"{candidate} was not read: {reason or 'it suits too, and ranks lower'}"
        for candidate, reason in zip(candidates, reasons, strict=True)
        if candidate is not chosen
    ]
    sentences = _counted([*passed, *(f"Not read: {text}" for text in told)])
    return chosen.stack, (f"{chosen} was read.", *(f"{text}." for text in sentences))


def _best(eligible: Sequence[Candidate]) -> Candidate:
    original = [candidate for candidate in eligible if candidate.image_type[:1] != ["DERIVED"]] or eligible
    longest = max(candidate.extent for candidate in original)
    return min((candidate for candidate in original if candidate.extent >= TIE * longest), key=_rank)


def _rank(candidate: Candidate) -> tuple[float, float, float]:
    echo = inf if candidate.echo_time is None else candidate.echo_time
    series = _number(find_value(candidate.stack.first, "SeriesNumber"))
    return max(candidate.spacing, THIN_MM), inf if series is None else series, echo


def _find_reason(candidate: Candidate, requires: Requires, manufacturer: str) -> InputError | None:
    """Why the pipeline does not read the candidate; None when it does."""
    if (other := _other_modality(candidate.stack.modality, requires)) is not None:
        return other
    if (objection := find_objection(candidate.frame, requires, manufacturer)) is not None:
        return objection
    found = ((kind, test(candidate, requires)) for kind, test in _TESTS)
    return next((kind(words) for kind, words in found if words is not None), None)


def _name_refusal(refusal: Refusal, requires: Requires, manufacturer: str) -> InputError:
    """Of images that made no stack: that they would not have been read either way, where that is so."""
    modality = str(find_value(refusal.first, "Modality") or "")
    other = _other_modality(modality, requires)
    objection = other or find_objection(find_frames(refusal.first, [1])[0], requires, manufacturer)
    if objection is None:
        return refusal.error
    return type(objection)(f"{refusal.error}; and {objection}")


def _other_modality(modality: str, requires: Requires) -> InputError | None:
    if requires.reads_anything or modality == requires.modality:
        return None
    return _OtherModality(f"its modality is {modality}, not {requires.modality}")


class _OtherModality(NoMatchingSeries):
    """Says nothing of the series that the pipeline might have read."""


def _other_unit(candidate: Candidate, requires: Requires) -> str | None:
    unit = candidate.rescale_type
    if requires.reads_anything:
        return None
    return f"its values are {unit}, not HU" if candidate.stack.modality == "CT" and unit not in HU_TYPES else None


def _too_few(candidate: Candidate, requires: Requires) -> str | None:
    planes = candidate.stack.shape[0]
    return f"it has {planes} planes of at least {requires.min_planes}" if planes < requires.min_planes else None


def _wrong_spacing(candidate: Candidate, requires: Requires) -> str | None:
    low, high = requires.spacing_mm
    if low - ROUNDING_MM <= candidate.spacing <= high + ROUNDING_MM:
        return None
    return f"its planes are {candidate.spacing:g} mm apart, not {low:g} to {high:g} mm"


def _coarse_pixels(candidate: Candidate, requires: Requires) -> str | None:
    pixel = float(np.linalg.norm(candidate.stack.affine[:3, 1:3], axis=0).max())
    if requires.pixel_mm is None or pixel <= requires.pixel_mm + ROUNDING_MM:
        return None
    return f"its pixels are {pixel:.2f} mm, more than {requires.pixel_mm:g} mm"


def _too_short(candidate: Candidate, requires: Requires) -> str | None:
    if requires.extent_mm is None or candidate.extent >= requires.extent_mm - ROUNDING_MM:
        return None
    return f"it is {candidate.extent:.0f} mm long, less than {requires.extent_mm:g} mm"


def _turned(candidate: Candidate, requires: Requires) -> str | None:
    if not requires.orientations or candidate.stack.orientation in requires.orientations:
        return None
    return f"it is {candidate.stack.orientation}, not {' or '.join(requires.orientations)}"


def _late_echo(candidate: Candidate, requires: Requires) -> str | None:
    limit, echo = requires.echo_time_ms, candidate.echo_time
    if limit is None:
        return None
    if echo is None:
        return "it does not say its Echo Time"
    return None if echo <= limit else f"its Echo Time is {echo:g} ms, over {limit:g} ms"


_TESTS: tuple[tuple[type[InputError], Callable[[Candidate, Requires], str | None]], ...] = (
    (WrongSampling, _other_unit),
    (TooFewSlices, _too_few),
    (WrongSampling, _wrong_spacing),
    (WrongSampling, _coarse_pixels),
    (WrongSampling, _too_short),
    (WrongView, _turned),
    (WrongSampling, _late_echo),
)


def _raise_none(errors: Sequence[InputError]) -> NoReturn:
    """errors: why each series is not read, those first that made a stack."""
    apart = [error for error in errors if not isinstance(error, _OtherModality)]
    broken = [error for error in apart if not isinstance(error, NoMatchingSeries)]
    whole = [error for error in broken if not isinstance(error, TooFewSlices)] or broken
    if len(whole) == 1:
        raise whole[0]
    kinds = {type(error) for error in apart}
    kind = kinds.pop() if len(kinds) == 1 and not broken else NoMatchingSeries
    told = _counted(f"{error}" for error in errors)
    raise kind(f"no series is what the pipeline reads. {'; '.join(told) or 'There is none'}.")


def _counted(sentences: Iterable[str]) -> list[str]:
    """Each sentence once: a time series says the same hundreds of times."""
    return [text if n == 1 else f"{text} ({n} stacks)" for text, n in Counter(sentences).items()]


def _number(value: Any, default: float | None = None) -> float | None:
    try:
        return default if value is None else float(value)
    except (TypeError, ValueError):
        return default


def _series(header: Dataset) -> str:
    number = find_value(header, "SeriesNumber")
    return f"Series {header.SeriesInstanceUID}" if number is None else f"Series {number}"
