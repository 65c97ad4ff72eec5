"""What makes contrast in an MR image, from its times and the kind of its sequence (PS3.3 C.8.3.1, C.8.13.1).

Times alone tell: what lies between the usual ranges is not guessed.
"""

from typing import Any

from node.dicom.header import Frame
from node.dicom.input_gate import NOT_ANATOMY, read_image_type
from pipelines.terms import Weighting

SAID = {
    "T1": Weighting.T1, "T2": Weighting.T2, "T2_STAR": Weighting.T2_STAR, "FLUID_ATTENUATED": Weighting.FLAIR,
    "PROTON_DENSITY": Weighting.PROTON_DENSITY, "STIR": Weighting.STIR, "DIFFUSION": Weighting.DIFFUSION,
}  # fmt: skip
"""Acquisition Contrast (0008,9209) of enhanced images."""
SHORT_ECHO_MS, LONG_ECHO_MS = 30.0, 70.0
SHORT_REPETITION_MS, LONG_REPETITION_MS = 1000.0, 1800.0
NULLS_FAT_MS, NULLS_FLUID_MS = (80.0, 300.0), 1500.0
"""Inversion times: of fat up to 3 T, and the least of fluid."""
LATE_ECHO_MS = 15.0
"""From here on a gradient echo is weighted by T2*; up to half of it not."""
KIND = ("ScanningSequence", "SequenceVariant")
ECHO, REPETITION = ("EffectiveEchoTime", "EchoTime"), ("RepetitionTime",)
INVERSION = ("InversionTime", "InversionTimes")
"""Of each the first that is there counts."""


def weigh(frame: Frame) -> tuple[Weighting | None, tuple[str, ...]]:
    """The weighting of an MR image, None when its header does not tell, and of phase images and maps; and the keywords
    of the attributes that told it, or that are there and did not."""
    image_type = read_image_type(frame)
    kind = "FrameType" if frame.get("FrameType") else "ImageType"
    if any(word in NOT_ANATOMY for word in image_type[2:]):
        return None, (kind,)
    if (said := SAID.get(str(frame.get("AcquisitionContrast") or ""))) is not None:
        return said, ("AcquisitionContrast",)
    if (_number(frame, "DiffusionBValue") or 0) > 0:
        return Weighting.DIFFUSION, ("DiffusionBValue",)
    if set(image_type) & {"DIFFUSION", "TRACEW"}:
        return Weighting.DIFFUSION, (kind,)
    words = {word for keyword in KIND for word in _words(frame, keyword)}
    return _by_times(frame, words), _list_read(frame, words)


def _by_times(frame: Frame, words: set[str]) -> Weighting | None:
    echo, repetition = _number(frame, *ECHO), _number(frame, *REPETITION)
    if echo is None or repetition is None or not words:
        return None
    inversion = _number(frame, *INVERSION) or 0.0
    if "IR" in words and inversion > 0:
        return _inverted(echo, inversion, {"GR", "MP"} <= words)
    if "GR" in words and "SE" not in words:
        return _gradient(echo, repetition, _number(frame, "FlipAngle"))
    return _spin(echo, repetition)


def _list_read(frame: Frame, words: set[str]) -> tuple[str, ...]:
    """The keywords of the attributes that are there of those by which _by_times decides."""
    inverted = "IR" in words and (_number(frame, *INVERSION) or 0.0) > 0
    flipped = "GR" in words and "SE" not in words and not inverted
    times = (ECHO, REPETITION, *((INVERSION,) if inverted else ()), *((("FlipAngle",),) if flipped else ()))
    read = [next((one for one in several if _number(frame, one) is not None), "") for several in times]
    return tuple(keyword for keyword in (*(one for one in KIND if _words(frame, one)), *read) if keyword)


def _inverted(echo: float, inversion: float, prepared: bool) -> Weighting | None:
    """prepared: a gradient echo after one inversion, as MPRAGE, which is T1 whatever its long repetition time."""
    if prepared:
        return Weighting.T1 if echo <= SHORT_ECHO_MS / 2 else None
    if NULLS_FAT_MS[0] <= inversion <= NULLS_FAT_MS[1]:
        return Weighting.STIR
    return Weighting.FLAIR if inversion >= NULLS_FLUID_MS and echo >= LONG_ECHO_MS else None


def _gradient(echo: float, repetition: float, flip: float | None) -> Weighting | None:
    if echo >= LATE_ECHO_MS:
        return Weighting.T2_STAR
    steep = flip is not None and flip >= 8.0
    return Weighting.T1 if echo <= LATE_ECHO_MS / 2 and repetition <= SHORT_REPETITION_MS / 2 and steep else None


def _spin(echo: float, repetition: float) -> Weighting | None:
    if echo <= SHORT_ECHO_MS and repetition <= SHORT_REPETITION_MS:
        return Weighting.T1
    if repetition < LONG_REPETITION_MS:
        return None
    if echo >= LONG_ECHO_MS:
        return Weighting.T2
    return Weighting.PROTON_DENSITY if echo <= SHORT_ECHO_MS else None


def _words(frame: Frame, keyword: str) -> list[str]:
    value: Any = frame.get(keyword) or ()
    return [str(word).upper() for word in ([value] if isinstance(value, str) else value)]


def _number(frame: Frame, *keywords: str) -> float | None:
    for keyword in keywords:
        value = frame.get(keyword)
        try:
            return float(value)
        except (TypeError, ValueError):
            continue
    return None
