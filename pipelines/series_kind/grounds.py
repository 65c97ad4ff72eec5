"""Why series-kind answered so: a sentence for each question, with the attribute or the measure that led to the answer,
or with what was missing or contradictory where it is left open.

Attributes are named by their DICOM keywords. What they hold is never repeated: people type it.
"""

from collections.abc import Iterator, Mapping, Sequence

from pipelines.series_kind import concepts
from pipelines.series_kind.plane import WITHIN_DEGREES, measure_tilt
from pipelines.series_kind.region import Decision, Ground, decide_region, list_regions
from pipelines.steps.body_region import (
    LUNG_SHARE,
    PELVIS_BONE_SHARE,
    count_planes,
    find_region,
)
from pipelines.terms import Code, Region, Told, Volume

SOURCES = {
    concepts.CONTRAST: "contrast", concepts.WEIGHTING: "weighting", concepts.KERNEL: "kernel", concepts.ROLE: "role",
}  # fmt: skip
"""Question -> the attribute of Told that answers it alone."""
DESCRIPTIONS = "SeriesDescription, ProtocolName or StudyDescription"
NO_HEADER = "there is no header"
LOOKED_FOR = {
    concepts.CONTRAST: f"ContrastBolusAgent and ContrastBolusAgentSequence hold nothing, and no word of {DESCRIPTIONS},"
    " nor of BodyPartExamined, tells",
    concepts.WEIGHTING: "AcquisitionContrast and the times and kind of the sequence hold nothing",
    concepts.KERNEL: "ConvolutionKernel holds nothing",
    concepts.ROLE: "FrameType and ImageType hold nothing",
}
"""Why a question is open of which the header holds nothing."""
UNDECIDED = {
    concepts.CONTRAST: "some words speak for it and some against it",
    concepts.WEIGHTING: "times lie beyond the usual ranges or are too few, or these are no images of anatomy",
    concepts.KERNEL: "its name is in no rule",
    concepts.ROLE: "it says neither original nor derived",
}
"""Why a question is open of which the header holds something."""
PATTERNS = {
    Region.CHEST: f"lung takes {100 * LUNG_SHARE:.0f} % or more of the trunk",
    Region.HEAD: "bone lies around soft tissue as large as a brain",
    Region.ABDOMEN: f"the trunk holds hardly any lung, and less than {100 * PELVIS_BONE_SHARE:.1f} % of it is bone",
    Region.PELVIS: f"the trunk holds hardly any lung, and {100 * PELVIS_BONE_SHARE:.1f} % of it or more is bone",
}


def state_grounds(
    told: Told | None, volume: Volume, answers: Mapping[Code, Code], asked: Sequence[Code]
) -> Iterator[str]:
    """A sentence for each of the questions `asked` of `volume`. told: None where there is no header. answers: question
    -> answer of what is not open."""
    for question in asked:
        given = answers.get(question)
        said = given.meaning if given is not None else "left open"
        yield f"{question.meaning}: {said}. Ground: {_find_ground(question, told, volume, given)}."


def _find_ground(question: Code, told: Told | None, volume: Volume, given: Code | None) -> str:
    if question == concepts.MODALITY:
        return "Modality" if given is not None else "Modality has no concept here"
    if question == concepts.REGION:
        seen = find_region(volume)
        decision = decide_region(told or Told(volume.modality), seen)
        return ground_region(told, decision, given, _tell_pixels(seen.regions, count_planes(volume)))
    if question == concepts.PLANE:
        return (
            f"ImageOrientationPatient, by which the normal of the planes is {measure_tilt(volume):.0f} degrees off the"
            f" nearest axis of the patient; {WITHIN_DEGREES:.0f} are allowed"
        )
    if told is None:
        return NO_HEADER
    names = _join(told.sources.get(SOURCES[question], ()))
    if given is not None:
        return names or "the header"
    return f"{names}; {UNDECIDED[question]}" if names else LOOKED_FOR[question]


def ground_region(told: Told | None, decision: Decision, given: Code | None, pixels: str) -> str:
    """Why the region is what `decision` says. given: its concept, None where it is left open; pixels: the measures by
    which a CT shows regions."""
    sources = told.sources if told is not None else {}
    parts, words = (_join(sources.get(name, ())) for name in ("regions", "hinted"))
    ground = {
        Ground.PIXELS: f"the pixels, which are sure: {pixels}",
        Ground.HEADER: parts,
        Ground.HEADER_AND_PIXELS: f"{parts}, and the pixels agree: {pixels}",
        Ground.WORDS: f"a word of {words} alone, since pixels of this modality are not looked at",
        Ground.WORDS_AND_PIXELS: f"a word of {words} that the pixels bear out: {pixels}",
        Ground.CONTRADICTION: f"{parts} contradicts the pixels, which are sure: {pixels}",
        Ground.NOTHING: _tell_nothing(told, parts, words, pixels),
    }[decision.ground]
    if decision.regions and given is None:
        return f"{ground}; but {list_regions(decision.regions)} together have no concept"
    return ground


def _tell_nothing(told: Told | None, parts: str, words: str, pixels: str) -> str:
    if told is None:
        return f"{NO_HEADER}, and pixels alone are not sure: {pixels}"
    attributes = "BodyPartExamined and AnatomicRegionSequence hold nothing"
    header = f"{parts} names no region that is known" if parts else attributes
    hint = (
        f"a word of {words} names one that the pixels do not bear out"
        if words
        else f"no word of {DESCRIPTIONS} names one"
    )
    unsure = f", and pixels alone are not sure: {pixels}" if told.modality == "CT" else ""
    return f"{header}, {'' if unsure else 'and '}{hint}{unsure}"


def _tell_pixels(regions: frozenset[Region], counts: Mapping[Region, tuple[int, int]]) -> str:
    """The measures by which `regions` are seen."""
    told = [
        f"{PATTERNS[region]} on {counts[region][0]} of {counts[region][1]} planes across the patient"
        for region in sorted(regions)
    ]
    return "; ".join(told) or "no pattern of a region is to be seen on enough planes"


def _join(names: Sequence[str]) -> str:
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)
