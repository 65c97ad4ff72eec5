"""What is said of each nodule: two probabilities and the diameter that the one is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipelines.terms import Code, Finding, Measurement, Note, Result, Segment

OURS = "99WETREAD"
NODULE = Code("27925004", "SCT", "Nodule")
LUNG = Code("39607008", "SCT", "Lung")
BOTH = Code("51440002", "SCT", "Right and left")
SUSPICIOUS = Code("NOD-SUSP", OURS, "Probability of a suspicious rating")
BY_DIAMETER = Code("NOD-SUSPD", OURS, "Rating expected from the diameter alone")
DIAMETER = Code("NOD-DIAM", OURS, "Diameter of a circle of equal area in the middle plane")
NO_UNITS = Code("1", "UCUM", "no units")
MILLIMETER = Code("mm", "UCUM", "millimeter")

DEMONSTRATOR = "Demonstrator: AI output, not for diagnosis."
MEANING = (
    "The probability is that of a rating of 4 or 5 of 5 by radiologists of the LIDC, not of cancer. On nodules that it"
    " never saw, the network was no better than the diameter of the radiologists' outline. What the diameter measured"
    " here says alone is stated beside it."
)


@dataclass(frozen=True, slots=True, eq=False)
class Rated:
    """segment: the nodule as it was given. probability, by_diameter: 0..1, of a suspicious rating."""

    segment: Segment
    diameter_mm: float
    probability: float
    by_diameter: float


def make_result(rated: Sequence[Rated], notes: Sequence[Note], seconds: Mapping[str, float]) -> Result:
    """The result for nodules that were rated; one that says absent where there are none."""
    said = (Note(DEMONSTRATOR), *notes)
    if not rated:
        absent = Finding("nodule", NODULE, site=LUNG, laterality=BOTH, absent=True)
        text = "No nodule candidate was given to it or found by lung-nodule. This does not say that there is none."
        return Result((), (absent,), (Note(text), *said), dict(seconds))
    findings = tuple(_make_finding(one) for one in rated)
    return Result(tuple(one.segment for one in rated), findings, (Note(MEANING), *said), dict(seconds))


def _make_finding(one: Rated) -> Finding:
    segment = one.segment
    return Finding(
        segment.key,
        segment.kind,
        site=segment.site,
        laterality=segment.laterality,
        segment_key=segment.key,
        measurements=(
            Measurement(SUSPICIOUS, round(one.probability, 3), NO_UNITS),
            Measurement(BY_DIAMETER, round(one.by_diameter, 3), NO_UNITS),
            Measurement(DIAMETER, round(one.diameter_mm, 1), MILLIMETER),
        ),
    )
