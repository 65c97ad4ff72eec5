"""A bundle's numbers as a Result: every output under its coded concept."""

import colorsys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.bundles.card import Card, Task, make_key
from pipelines.bundles.concepts import Concept
from pipelines.errors import BundleCrashed, BundleDrift, UnsuitableVolume
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

    What is no part of a sound body (`lesion`) is absent where it was looked for; anatomy that is not seen is no finding
    but a note, since it may lie beside the images. Raises BundleCrashed when `arrays` do not fit `volume` or say
    nothing, BundleDrift for a class without a name, UnsuitableVolume where nothing can be said of these images.
    """
    if card.task is Task.DETECTION:
        return _list_boxes(arrays, card, concepts, seconds)
    if card.task is Task.CLASSIFICATION:
        return _name_class(pick(arrays, "probabilities", np.float64), card, concepts, seconds)
    parts, missing = _find_parts(arrays, card, concepts, volume.shape)
    absent, notes = _say_missing(missing, [part.concept for part in parts])
    segments = tuple(_make_segment(part) for part in parts)
    return _conclude(segments, [*(_measure(part, volume) for part in parts), *absent], notes, seconds)


def pick(arrays: Mapping[str, NDArray[Any]], name: str, *kinds: type) -> NDArray[Any]:
    """The array `name`, of one of `kinds`. Raises BundleCrashed: no answer is not an empty one."""
    array = arrays.get(name)
    if array is None or array.dtype not in kinds:
        raise BundleCrashed(f"its answer has no {name} that could be read")
    return array


def _conclude(
    segments: tuple[Segment, ...], findings: Sequence[Finding], notes: Sequence[Note], seconds: Mapping[str, float]
) -> Result:
    if not findings:
        raise UnsuitableVolume(" ".join(note.text for note in notes))
    return Result(segments, tuple(findings), tuple(notes), dict(seconds))


def _say_missing(
    missing: Mapping[str, Concept], seen: Sequence[Concept]
) -> tuple[tuple[Finding, ...], tuple[Note, ...]]:
    """(findings that say absent, a note on all else that is not seen). A lesion is absent where the anatomy around it,
    if the bundle names any, is in the images."""
    unseen = {_name(one.kind) for one in missing.values() if not one.lesion} - {_name(one.kind) for one in seen}
    blind = bool(unseen) and all(one.lesion for one in seen)
    absent = {
        label: one for label, one in missing.items() if one.lesion and not blind and _name(one.site) not in unseen
    }
    findings = tuple(
        Finding(make_key(label), one.kind, one.site, one.laterality, absent=True) for label, one in absent.items()
    )
    return findings, _list_missing([label for label in missing if label not in absent])


def _name(code: Code | None) -> tuple[str, str]:
    """What makes two codes the same, whatever their meaning is written like."""
    return (code.value, code.scheme) if code is not None else ("", "")


def _find_parts(
    arrays: Mapping[str, NDArray[Any]], card: Card, concepts: Mapping[str, Concept], shape: tuple[int, ...]
) -> tuple[list[_Part], dict[str, Concept]]:
    """(outputs that have a voxel, outputs that have none), in the order of the channels."""
    parts: list[_Part] = []
    missing: dict[str, Concept] = {}
    find = _read_masks(arrays, card, shape) if card.overlaps else _read_labels(arrays, shape)
    for number, label in card.outputs.items():
        if label not in concepts:
            continue
        count, mask = find(number)
        if mask is None:
            missing[label] = concepts[label]
        else:
            parts.append(_Part(make_key(label), label, concepts[label], count, mask, _pick_color(number)))
    return parts, missing


Find = Callable[[int], tuple[int, Mask | LabelMask | None]]
"""(how many voxels an output channel has, its mask where it has any)."""


def _read_masks(arrays: Mapping[str, NDArray[Any]], card: Card, shape: tuple[int, ...]) -> Find:
    masks = pick(arrays, "masks", np.bool_)
    if masks.shape != (card.classes, *shape):
        raise BundleCrashed(f"its masks are {masks.shape}, its {card.classes} classes of these images {shape}")

    def find(number: int) -> tuple[int, Mask | None]:
        count = int(np.count_nonzero(masks[number])) if number < len(masks) else 0
        return count, masks[number] if count else None

    return find


def _read_labels(arrays: Mapping[str, NDArray[Any]], shape: tuple[int, ...]) -> Find:
    labels = pick(arrays, "labels", np.uint8, np.uint16)
    if labels.shape != shape:
        raise BundleCrashed(f"its labels are {labels.shape}, the images have {shape}")
    counts = np.bincount(labels.reshape(-1))

    def find(number: int) -> tuple[int, LabelMask | None]:
        count = int(counts[number]) if number < len(counts) else 0
        return count, LabelMask(labels, number) if count else None

    return find


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
    arrays: Mapping[str, NDArray[Any]], card: Card, concepts: Mapping[str, Concept], seconds: Mapping[str, float]
) -> Result:
    """A finding for each box that is certain enough, under the concept of its class, the most certain first; one that
    says absent for each lesion that no box has."""
    boxes, scores = pick(arrays, "boxes", np.float64), pick(arrays, "scores", np.float64)
    named = _name_boxes(pick(arrays, "classes", np.uint16), card, concepts)
    fits = boxes.shape == (len(named), 2, 3) and scores.shape == (len(named),)
    finite = np.isfinite(boxes).all() and np.isfinite(scores).all()
    if not fits or not finite or not (boxes[:, 0] < boxes[:, 1]).all():
        raise BundleCrashed("its boxes are no boxes")
    certain = [int(n) for n in np.argsort(-scores, kind="stable") if scores[n] >= LEAST_SCORE]
    found = [(n, concept) for n in certain if (concept := named[n]) is not None]
    findings = [
        Finding(
            f"{make_key(concept.kind.meaning)}-{rank}",
            concept.kind,
            concept.site,
            concept.laterality,
            measurements=(Measurement(CERTAINTY, round(100.0 * float(scores[n]), 1), PERCENT),),
            box=Box(_corner(boxes[n, 0]), _corner(boxes[n, 1])),
        )
        for rank, (n, concept) in enumerate(found[:MOST_BOXES], 1)
    ]
    seen = [concept for _, concept in found]
    absent, unseen = _say_missing({label: one for label, one in concepts.items() if one not in seen}, seen)
    notes = [Note(f"Detections of less than {LEAST_SCORE:.0%} certainty are left out.", Severity.INFO), *unseen]
    if len(found) > MOST_BOXES:
        notes.append(Note(f"{len(found)} detections; the {MOST_BOXES} most certain are listed."))
    return _conclude((), [*findings, *absent], notes, seconds)


def _name_boxes(classes: NDArray[Any], card: Card, concepts: Mapping[str, Concept]) -> list[Concept | None]:
    """The concept of each box; None for one of a class that is ignored. Raises BundleDrift for a class that has no
    name: a bundle that names none has one class alone, that of its title."""
    labels = card.outputs or {0: card.title}
    numbers = [int(number) for number in classes.reshape(-1)]
    for number in numbers:
        if number not in labels:
            raise BundleDrift(f"it found something of class {number}, which channel_def in its metadata never names")
    return [concepts.get(labels[number]) for number in numbers]


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
    question, label = concepts[card.title], card.outputs[best]
    if label not in concepts:
        raise UnsuitableVolume(f"the most probable answer is {label!r}, which concepts.toml says to ignore")
    answer = concepts[label]
    certain = Measurement(PROBABILITY, round(100.0 * float(scores[best]), 1), PERCENT)
    finding = Finding(
        make_key(card.title), question.kind, question.site, question.laterality,
        qualifiers=((question.kind, answer.kind),), measurements=(certain,),
    )  # fmt: skip
    return Result((), (finding,), (), dict(seconds))
