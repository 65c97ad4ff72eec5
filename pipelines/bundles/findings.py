"""A bundle's numbers as a Result: every output under its coded concept."""

import colorsys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.bundles.card import Card
from pipelines.bundles.concepts import Concept
from pipelines.errors import BundleCrashed
from pipelines.terms import (
    Box,
    Code,
    Finding,
    LabelMask,
    Mask,
    Measurement,
    Note,
    Result,
    Segment,
    Severity,
    Volume,
)

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
LESION = Code("49755003", "SCT", "Morphologically Abnormal Structure")
VOLUME = Code("118565006", "SCT", "Volume")
MILLILITER = Code("mL", "UCUM", "milliliter")
CERTAINTY = Code("111012", "DCM", "Certainty of Finding")
PROBABILITY = Code("122157", "DCM", "Probability")
PERCENT = Code("%", "UCUM", "percent")
LEAST_SCORE = 0.5
"""Detections below are left out; detectors give hundreds."""
MOST_BOXES = 20
MOST_NAMES = 12


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """One output that is seen: how many voxels it has, and where."""

    key: str
    label: str
    concept: Concept
    count: int
    mask: Mask | LabelMask
    color: tuple[int, int, int]


def make_result(
    arrays: Mapping[str, NDArray[Any]],
    card: Card,
    concepts: Mapping[str, Concept],
    volume: Volume,
    seconds: Mapping[str, float],
) -> Result:
    """The result of `arrays` (pipelines.bundles.program.Answer), which a process sent that is not believed.

    Raises BundleCrashed when they do not fit `volume`.
    """
    if "boxes" in arrays:
        return _list_boxes(arrays["boxes"], arrays["scores"], card, concepts, seconds)
    if "probabilities" in arrays:
        return _name_class(arrays["probabilities"], card, concepts, seconds)
    parts, absent = _find_parts(arrays, card, concepts, volume.shape)
    segments = tuple(_make_segment(part) for part in parts)
    findings = [_measure(part, volume) for part in parts]
    findings += [Finding(make_key(label), concept.kind, concept.site, absent=True) for label, concept in absent.items()]
    anatomy = [label for label, concept in absent.items() if not concept.lesion]
    if parts and anatomy:
        # Anatomy that is not in the images is not absent from the patient.
        findings = [one for one in findings if not one.absent or one.key not in set(map(make_key, anatomy))]
    return Result(segments, tuple(findings), _list_missing(anatomy) if parts else (), dict(seconds))


def _find_parts(
    arrays: Mapping[str, NDArray[Any]], card: Card, concepts: Mapping[str, Concept], shape: tuple[int, ...]
) -> tuple[list[_Part], dict[str, Concept]]:
    """(outputs that have a voxel, outputs that have none), in the order of the channels."""
    masks, labels = arrays.get("masks"), arrays.get("labels")
    if labels is not None and (labels.shape != shape or labels.dtype not in (np.uint8, np.uint16)):
        raise BundleCrashed(f"its labels are {labels.dtype} {labels.shape}, the images have {shape}")
    if masks is not None and (masks.shape[1:] != shape or masks.dtype != np.bool_):
        raise BundleCrashed(f"its masks are {masks.dtype} {masks.shape}, the images have {shape}")
    counts = np.bincount(labels.reshape(-1)) if labels is not None else np.zeros(0, np.int64)
    parts: list[_Part] = []
    absent: dict[str, Concept] = {}
    for number, label in card.outputs.items():
        if label not in concepts:
            continue
        if masks is not None:
            count = int(np.count_nonzero(masks[number])) if number < len(masks) else 0
        else:
            count = int(counts[number]) if number < len(counts) else 0
        if not count:
            absent[label] = concepts[label]
            continue
        mask: Mask | LabelMask = LabelMask(labels, number) if labels is not None else np.asarray(masks)[number]
        parts.append(_Part(make_key(label), label, concepts[label], count, mask, _pick_color(number)))
    return parts, absent


def make_key(label: str) -> str:
    """`kidney-right` of "kidney_right"."""
    return "-".join("".join(c if c.isalnum() else " " for c in label.lower()).split())


def _pick_color(number: int) -> tuple[int, int, int]:
    """Neighbors in number are far apart in hue."""
    red, green, blue = colorsys.hsv_to_rgb(number * 0.618 % 1.0, 0.6, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def _make_segment(part: _Part) -> Segment:
    concept = part.concept
    return Segment(
        part.key,
        part.label.replace("_", " ")[:64],
        LESION if concept.lesion else ANATOMY,
        concept.kind,
        part.mask,
        site=concept.site,
        laterality=concept.laterality,
        color=part.color,
    )


def _measure(part: _Part, volume: Volume) -> Finding:
    size = Measurement(VOLUME, part.count * volume.voxel_ml, MILLILITER)
    concept = part.concept
    return Finding(part.key, concept.kind, concept.site, concept.laterality, part.key, (size,))


def _list_missing(labels: list[str]) -> tuple[Note, ...]:
    if not labels:
        return ()
    names = ", ".join(label.replace("_", " ") for label in labels[:MOST_NAMES])
    more = f" and {len(labels) - MOST_NAMES} more" if len(labels) > MOST_NAMES else ""
    return (Note(f"Not seen in these images: {names}{more}.", Severity.INFO),)


def _list_boxes(
    boxes: NDArray[Any], scores: NDArray[Any], card: Card, concepts: Mapping[str, Concept], seconds: Mapping[str, float]
) -> Result:
    """A finding for each box that is certain enough, the most certain first; one that says absent where none is."""
    concept = next(iter(concepts.values()))
    if boxes.shape != (len(scores), 2, 3) or not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise BundleCrashed("its boxes are no boxes")
    order = [int(n) for n in np.argsort(-scores, kind="stable") if scores[n] >= LEAST_SCORE]
    findings = [
        Finding(
            f"{make_key(concept.kind.meaning)}-{rank}",
            concept.kind,
            concept.site,
            concept.laterality,
            measurements=(Measurement(CERTAINTY, round(100.0 * float(scores[n]), 1), PERCENT),),
            box=Box(_corner(boxes[n, 0]), _corner(boxes[n, 1])),
        )
        for rank, n in enumerate(order[:MOST_BOXES], 1)
    ]
    if not findings:
        findings = [Finding(make_key(concept.kind.meaning), concept.kind, concept.site, absent=True)]
    notes = [Note(f"Detections of less than {LEAST_SCORE:.0%} certainty are left out.", Severity.INFO)]
    if len(order) > MOST_BOXES:
        notes.append(Note(f"{len(order)} detections; the {MOST_BOXES} most certain are listed."))
    return Result((), tuple(findings), tuple(notes), dict(seconds))


def _corner(point: NDArray[Any]) -> tuple[float, float, float]:
    k, j, i = (float(value) for value in point)
    return k, j, i


def _name_class(
    scores: NDArray[Any], card: Card, concepts: Mapping[str, Concept], seconds: Mapping[str, float]
) -> Result:
    """One finding: the question, its most probable answer, and how probable that is."""
    if scores.shape != (len(card.outputs),) or not np.isfinite(scores).all():
        raise BundleCrashed(f"its probabilities are {scores.shape}, its classes {len(card.outputs)}")
    best = int(scores.argmax())
    question, label = concepts[card.title], list(card.outputs.values())[best]
    answer = concepts[label]
    certain = Measurement(PROBABILITY, round(100.0 * float(scores[best]), 1), PERCENT)
    finding = Finding(
        make_key(card.title), question.kind, question.site, qualifiers=((question.kind, answer.kind),),
        measurements=(certain,),
    )  # fmt: skip
    return Result((), (finding,), (), dict(seconds))
