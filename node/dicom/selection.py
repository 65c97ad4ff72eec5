"""Choosing the one stack of a study that a pipeline reads, and saying which one and why the others not."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, NoReturn

import numpy as np
from pydicom import Dataset

from node.dicom.header import Frame, find_frames, find_value
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
"""Rescale Types of a CT in Hounsfield units: absent means HU (PS3.3 C.8.2.1), and many write "unspecified"."""
TIE = 0.95
"""A stack of this share of the longest one's extent counts as equally long."""
THIN_MM = 1.0
"""Below this distance between planes, thinner is no better."""
ROUNDING_MM = 1e-3
"""Headers round: planes 1.0001 mm apart fulfill "at most 1 mm"."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A stack with what is asked about it; lengths in mm, echo_time in ms (None when unknown)."""

    stack: Stack
    image_type: list[str]
    rescale_type: str
    echo_time: float | None
    spacing: float
    extent: float

    @classmethod
    def of(cls, stack: Stack) -> "Candidate":
        """`stack` as the frame of its first plane describes it, which speaks for all."""
        index, number = stack.frames[0]
        frame = find_frames(stack.headers[index], [number])[0]
        spacing = round(float(np.linalg.norm(stack.affine[:3, 0])), 3)
        return cls(
            stack,
            _image_type(frame),
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
    candidates = [Candidate.of(stack) for stack in stacks]
    reasons = [_why_not(candidate, requires) for candidate in candidates]
    eligible = [candidate for candidate, reason in zip(candidates, reasons, strict=True) if reason is None]
    told = [f"{refusal.error}" for refusal in refusals]
    if not eligible:
        told = [f"{candidate}: {reason}" for candidate, reason in zip(candidates, reasons, strict=True)] + told
        _raise_none(refusals, told, requires)
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


def _why_not(candidate: Candidate, requires: Requires) -> str | None:
    """Why the pipeline does not read the candidate, in words; None when it does."""
    return next((reason for test in _TESTS if (reason := test(candidate, requires)) is not None), None)


def _other_modality(candidate: Candidate, requires: Requires) -> str | None:
    modality = candidate.stack.modality
    return None if modality == requires.modality else f"its modality is {modality}, not {requires.modality}"


def _not_acquired(candidate: Candidate, requires: Requires) -> str | None:
    return _derivation(candidate.image_type, candidate.stack.modality)


def _other_unit(candidate: Candidate, requires: Requires) -> str | None:
    unit = candidate.rescale_type
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


_TESTS: tuple[Callable[[Candidate, Requires], str | None], ...] = (
    _other_modality,
    _not_acquired,
    _other_unit,
    _too_few,
    _wrong_spacing,
    _coarse_pixels,
    _too_short,
    _turned,
    _late_echo,
)


def _raise_none(refusals: Sequence[Refusal], told: Sequence[str], requires: Requires) -> NoReturn:
    sensible = [refusal for refusal in refusals if _is_sensible(refusal, requires)]
    whole = [refusal for refusal in sensible if not isinstance(refusal.error, TooFewSlices)] or sensible
    if len(whole) == 1:
        raise whole[0].error
    raise NoMatchingSeries(f"no series is what the pipeline reads. {'; '.join(_counted(told)) or 'There is none'}.")


def _is_sensible(refusal: Refusal, requires: Requires) -> bool:
    """True when the pipeline might have read these images, had they made a stack."""
    modality = str(find_value(refusal.first, "Modality") or "")
    acquired = _derivation(_image_type(find_frames(refusal.first, [1])[0]), modality) is None
    return modality == requires.modality and acquired and not isinstance(refusal.error, NoMatchingSeries)


def _derivation(image_type: Sequence[str], modality: str) -> str | None:
    """What the images are instead of acquired anatomy; some vendors set their product's name before: "CT_SOM5 MPR"."""
    names = NOT_ACQUIRED | NOT_ANATOMY if modality == "MR" else NOT_ACQUIRED
    words = (word for token in image_type[2:] if token for word in (token, token.split()[-1]))
    return next((f"it is {names[word]}" for word in words if word in names), None)


def _image_type(frame: Frame) -> list[str]:
    value: Any = frame.get("FrameType") or frame.get("ImageType") or ()
    return [str(token).strip().upper() for token in ([value] if isinstance(value, str) else value)]


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
