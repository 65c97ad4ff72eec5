"""What a detecting bundle's process says of the boxes of its own answer, taken into the result: it is not believed."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from pipelines.bundles.boxes import Floats, Reported
from pipelines.bundles.card import Card
from pipelines.bundles.concepts import Concept
from pipelines.bundles.explained import Arrays, add, take_map
from pipelines.bundles.findings import CERTAINTY, LEAST_SCORE, PERCENT, pick
from pipelines.bundles.ways import LEAST_DROP, MOST_DRAWN, MOVED, MOVES
from pipelines.errors import BundleCrashed
from pipelines.explanation.deviation import add_deviations
from pipelines.explanation.quantity import AUGMENTATION, NO_UNITS, describe_members
from pipelines.terms import Code, Finding, Measurement, Note, Result, Severity, Volume

FOUND_AGAIN = Code("FOUNDAGAIN", "99WETREAD", "Readings that find it")
NOTHING = Note("Nothing was detected: there is nothing to explain.", Severity.INFO)
READ_AGAIN = Note(
    f"{describe_members(len(MOVES), MOVED)} Each reading searches anew. It finds a detection where it has one of the "
    f"same kind at its place with {LEAST_SCORE:.0%} certainty or more; where it has none at all, its certainty counts "
    "as 0. What other readings alone find is not listed.",
    Severity.INFO,
)
SPEAKS = Note(
    "The saliency map shows around each detection, as a share of its own highest value, where hiding a small place "
    "lowers its certainty: its brightness compares no two detections. Each was looked at in a part of the images. It "
    "explains the network, not the patient.",
    Severity.INFO,
)


def list_reported(result: Result, card: Card, concepts: Mapping[str, Concept]) -> Reported:
    """The boxes of `result`, which the bundle with `card` and `concepts` gave, in their order."""
    findings = _list_findings(result)
    corners = [(one.box.low, one.box.high) for one in findings if one.box is not None]
    same = np.zeros((len(findings), card.numbers), np.bool_)
    for number, label in (card.outputs or {0: card.title}).items():
        concept = concepts.get(label)
        for row, one in enumerate(findings):
            said = (one.concept, one.site, one.laterality)
            same[row, number] = concept is not None and (concept.kind, concept.site, concept.laterality) == said
    return Reported(np.asarray(corners, np.float64).reshape(-1, 2, 3), same)


def explain_boxes(result: Result, way: str, arrays: Arrays, volume: Volume) -> Result:
    """`result` with the explanation in `arrays` (pipelines.bundles.program.Answer): its boxes were asked for in the
    order of list_reported. Raises BundleCrashed when they do not fit it or `volume`."""
    findings = _list_findings(result)
    if way == "tta":
        return _add_readings(result, findings, _take_again(arrays, len(findings)))
    drops = _take_drops(arrays, min(len(findings), MOST_DRAWN))
    notes = [SPEAKS, *_note_less(len(findings), drops)]
    if not (drops >= LEAST_DROP).any():
        return add(result, notes[1:])
    return add(result, notes, (take_map(way, arrays, volume),))


def _list_findings(result: Result) -> list[Finding]:
    return [one for one in result.findings if one.box is not None and not one.absent]


def _take_again(arrays: Arrays, count: int) -> Floats:
    """Scores (box, reading) of `count` boxes; NaN in all or none of a box."""
    again = pick(arrays, "again", np.float64)
    unknown = np.isnan(again)
    known = ((again >= 0) & (again <= 1)) | unknown
    if again.shape != (count, len(MOVES)) or not known.all() or (unknown.any(axis=1) != unknown.all(axis=1)).any():
        raise BundleCrashed("its scores of other readings are none")
    return again


def _take_drops(arrays: Arrays, count: int) -> Floats:
    drops = pick(arrays, "drops", np.float64)
    if drops.shape != (count,) or not (((drops >= 0) & (drops <= 1)) | np.isnan(drops)).all():
        raise BundleCrashed("its drops of scores are none")
    return drops


def _add_readings(result: Result, findings: list[Finding], again: Floats) -> Result:
    """In how many readings each box was found, and the deviation of its certainty."""
    known = {one.key: row for one, row in zip(findings, again, strict=True) if not np.isnan(row).any()}
    counts = {key: float(np.count_nonzero(row >= LEAST_SCORE)) for key, row in known.items()}
    percents = {key: (100.0 * row).tolist() for key, row in known.items()}
    counted = tuple(_count(one, counts[one.key]) if one.key in counts else one for one in result.findings)
    added = add_deviations(counted, percents, AUGMENTATION, CERTAINTY, PERCENT)
    less = len(findings) - len(known)
    edge = f"Of {less} of the detections nothing is said: so near the edge they leave the images when these are moved."
    notes = [*([READ_AGAIN] if known else []), *([Note(edge, Severity.INFO)] if less else [])]
    return add(replace(result, findings=added), notes)


def _count(finding: Finding, count: float) -> Finding:
    found = Measurement(FOUND_AGAIN, count, NO_UNITS, method=AUGMENTATION)
    return replace(finding, measurements=(*finding.measurements, found))


def _note_less(count: int, drops: Floats) -> list[Note]:
    """What is not on the map, of `count` boxes."""
    large, dim = int(np.isnan(drops).sum()), int((drops < LEAST_DROP).sum())
    said = {
        f"{count - len(drops)} of the detections were not looked at: only the {MOST_DRAWN} most certain are.": count
        - len(drops),
        f"{large} of the detections were not looked at: they are too large.": large,
        f"Of {dim} of the detections nothing is on the map: hiding a small place lowers their odds by less than "
        f"{LEAST_DROP:.0%}, or in a part of the images alone they are not reported.": dim,
    }
    return [Note(text, Severity.INFO) for text, number in said.items() if number]
