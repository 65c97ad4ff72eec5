"""What is said of two studies: each lesion with its change, and how well the one lies on the other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pipelines.follow_up.lesions import Lesion
from pipelines.follow_up.match import Matches
from pipelines.registration.deformable import Deformed
from pipelines.registration.rigid import Rigid
from pipelines.terms import Code, Finding, Measurement, Note, Registration, Result, Segment, Severity

OURS = "99WETREAD"
LESION = Code("49755003", "SCT", "Morphologically Abnormal Structure")
VOLUME = Code("118565006", "SCT", "Volume")
LONG_AXIS = Code("103339001", "SCT", "Long Axis")
EARLIER_VOLUME = Code("FU-VOL0", OURS, "Volume in the earlier study")
EARLIER_LONG_AXIS = Code("FU-AX0", OURS, "Long axis in the earlier study")
VOLUME_CHANGE = Code("FU-DVOL", OURS, "Change of volume since the earlier study")
VOLUME_PERCENT = Code("FU-DVOLP", OURS, "Change of volume since the earlier study, relative")
LONG_AXIS_CHANGE = Code("FU-DAX", OURS, "Change of long axis since the earlier study")
DOUBLING_TIME = Code("FU-VDT", OURS, "Volume doubling time")
INTERVAL = Code("FU-DAYS", OURS, "Days since the earlier study")
CORRELATION = Code("FU-CORR", OURS, "Correlation of the registered studies")
OVERLAP = Code("FU-OVER", OURS, "Share of the body that the earlier study shows")
DISAGREEMENT = Code("FU-INV", OURS, "Disagreement of both directions of registration")
BENT = Code("FU-BENT", OURS, "Largest displacement beside the rigid motion")
COMPARED = Code("FU-REG", OURS, "Earlier study registered with this one")

CHANGE = Code("FU-CHANGE", OURS, "Change since the earlier study")
LARGER = Code("15454001", "SCT", "Increased size")
SMALLER = Code("19776001", "SCT", "Decreased size")
STABLE = Code("FU-STABLE", OURS, "No change of volume beyond measurement error")
NEW = Code("FU-NEW", OURS, "New since the earlier study")
GONE = Code("FU-GONE", OURS, "Seen in the earlier study, not in this one")
UNKNOWN = Code("FU-BEYOND", OURS, "Not shown by the earlier study")

MILLIMETER = Code("mm", "UCUM", "millimeter")
MILLILITER = Code("mL", "UCUM", "milliliter")
PERCENT = Code("%", "UCUM", "percent")
DAY = Code("d", "UCUM", "day")
NO_UNITS = Code("1", "UCUM", "no units")

SIGNIFICANT = 0.25
"""Volumes of solid nodules that differ by less are taken as equal (BTS guideline, Callister et al., Thorax
2015;70:ii1-ii54, doi:10.1136/thoraxjnl-2015-207168)."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """An earlier study beside this one. days: how much older it is. matches: None where the lesions of one of the two
    are not known."""

    days: int
    rigid: Rigid
    bent: Deformed
    registration: Registration
    matches: Matches | None


def make_result(comparison: Comparison, notes: Sequence[Note], seconds: Mapping[str, float]) -> Result:
    """The result of a comparison, and of nothing else."""
    segments, findings = _describe(comparison.matches, comparison.days)
    if comparison.matches is None or findings:
        findings.append(_describe_registration(comparison))
    else:
        findings.append(Finding("lesion", LESION, absent=True))
    said = [Note(state_quality(comparison), Severity.INFO), *_state_matches(comparison), *notes]
    return Result(
        tuple(segments), tuple(findings), tuple(said), dict(seconds), registrations=(comparison.registration,)
    )


def state_quality(comparison: Comparison) -> str:
    """How well the earlier study lies on this one, in a sentence."""
    rigid, bent = comparison.rigid, comparison.bent
    after = f", {bent.after:.2f} with the field" if bent.field is not None else ""
    field = (
        f"the field moves nothing by more than {bent.largest_mm:.1f} mm and shrinks nothing to less than"
        f" {bent.least_jacobian:.2f} of its volume"
        if bent.field is not None
        else "no field was used, since it would have folded or improved nothing"
    )
    return (
        f"Compared with a study of {comparison.days} days before. Registration: correlation"
        f" {rigid.correlation or 0.0:.2f}{after}; both directions agree within {rigid.disagreement_mm:.1f} mm;"
        f" {rigid.overlap:.0%} of the body is in the earlier study; {field}."
    )


def find_doubling_days(before_ml: float, now_ml: float, days: int) -> float | None:
    """Days in which the volume doubles at this pace; None where it does not grow beyond measurement error."""
    if days < 1 or not 0 < before_ml * (1 + SIGNIFICANT) <= now_ml:
        return None
    return days * math.log(2.0) / math.log(now_ml / before_ml)


def _describe(matches: Matches | None, days: int) -> tuple[list[Segment], list[Finding]]:
    if matches is None:
        return [], []
    segments, findings = [], []
    for before, now, _ in matches.pairs:
        tracking = before.segment.tracking or now.segment.tracking
        segments.append(replace(now.segment, tracking=tracking))
        findings.append(_find(now, _judge(before.ml, now.ml), _compare(before, now, days)))
    for lesions, said in ((matches.new, NEW), (matches.beyond[1], UNKNOWN)):
        for lesion in lesions:
            segments.append(lesion.segment)
            findings.append(_find(lesion, said, ()))
    return segments, [*findings, *(_find_gone(n, lesion, days) for n, lesion in enumerate(matches.gone, 1))]


def _find(lesion: Lesion, change: Code, compared: tuple[Measurement, ...]) -> Finding:
    segment = lesion.segment
    return Finding(
        segment.key,
        segment.kind,
        site=segment.site,
        laterality=segment.laterality,
        segment_key=segment.key,
        measurements=(Measurement(VOLUME, round(lesion.ml, 4), MILLILITER), *compared),
        qualifiers=((CHANGE, change),),
    )


def _find_gone(number: int, lesion: Lesion, days: int) -> Finding:
    segment = lesion.segment
    return Finding(
        f"gone-{number}",
        segment.kind,
        site=segment.site,
        laterality=segment.laterality,
        measurements=_say_earlier(lesion, days),
        qualifiers=((CHANGE, GONE),),
        absent=True,
        tracking=segment.tracking,
    )


def _judge(before_ml: float, now_ml: float) -> Code:
    if now_ml >= before_ml * (1 + SIGNIFICANT):
        return LARGER
    return SMALLER if now_ml <= before_ml * (1 - SIGNIFICANT) else STABLE


def _say_earlier(before: Lesion, days: int) -> tuple[Measurement, ...]:
    return (
        Measurement(EARLIER_VOLUME, round(before.ml, 4), MILLILITER),
        Measurement(EARLIER_LONG_AXIS, round(before.long_mm, 1), MILLIMETER),
        Measurement(INTERVAL, float(days), DAY),
    )


def _compare(before: Lesion, now: Lesion, days: int) -> tuple[Measurement, ...]:
    doubling = find_doubling_days(before.ml, now.ml, days)
    return (
        *_say_earlier(before, days),
        Measurement(VOLUME_CHANGE, round(now.ml - before.ml, 4), MILLILITER),
        Measurement(VOLUME_PERCENT, round(100 * (now.ml / before.ml - 1), 1), PERCENT),
        Measurement(LONG_AXIS_CHANGE, round(now.long_mm - before.long_mm, 1) + 0.0, MILLIMETER),
        *((Measurement(DOUBLING_TIME, round(doubling, 1), DAY),) if doubling is not None else ()),
    )


def _describe_registration(comparison: Comparison) -> Finding:
    rigid, bent = comparison.rigid, comparison.bent
    numbers = [
        Measurement(INTERVAL, float(comparison.days), DAY),
        Measurement(CORRELATION, round(rigid.correlation or 0.0, 3), NO_UNITS),
        Measurement(OVERLAP, round(100 * rigid.overlap, 1), PERCENT),
        Measurement(DISAGREEMENT, round(rigid.disagreement_mm, 2), MILLIMETER),
    ]
    if bent.field is not None:
        numbers.append(Measurement(BENT, round(bent.largest_mm, 1), MILLIMETER))
    return Finding("registration", COMPARED, measurements=tuple(numbers))


def _state_matches(comparison: Comparison) -> list[Note]:
    matches = comparison.matches
    if matches is None:
        return []
    notes = []
    if matches.beyond[0]:
        text = (
            f"{len(matches.beyond[0])} of the earlier study's lesions lie beyond these images: nothing is said of them."
        )
        notes.append(Note(text))
    earlier = [*(before for before, _, _ in matches.pairs), *matches.gone]
    if any(lesion.segment.tracking is None for lesion in earlier):
        text = "Lesions of the earlier study are in no report of this node: their tracking uids begin with this one."
        notes.append(Note(text, Severity.INFO))
    if comparison.registration.field is None and (matches.pairs or matches.new or matches.gone):
        notes.append(Note("Lesions were matched by a rigid motion alone: breath may part or join them."))
    return notes
