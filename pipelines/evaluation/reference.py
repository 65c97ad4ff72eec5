"""What is held to be true of a case, and how far a result agrees with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from monai.metrics import compute_dice

from pipelines.terms import Affine, Finding, Mask, Result, Segment, Volume


@dataclass(frozen=True, slots=True)
class Target:
    """Something to be found: the box from `low` to `high`, or the ball in it. mm, LPS (x, y, z)."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]
    round: bool = False

    def holds(self, place: tuple[float, float, float]) -> bool:
        """True when `place` lies within."""
        low, high, at = (np.asarray(values, dtype=np.float64) for values in (self.low, self.high, place))
        away = (at - (low + high) / 2) / np.maximum((high - low) / 2, 1e-6)
        return bool(np.linalg.norm(away) <= 1 if self.round else np.abs(away).max() <= 1)


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What is true of a case. Names and questions are compared without regard to capitals.

    masks: name -> bool (k, j, i) of the volume. targets: all there is to find; None when nobody looked.
    labels: question -> answer, by the meanings of their codes. scores: measurement -> whether it should be high.
    """

    masks: Mapping[str, Mask] = field(default_factory=dict)
    targets: tuple[Target, ...] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one case went.

    patient: what cases of one patient share; "" when the case is the only one. part: of the cases, for figures of each.
    refused: the error by which the pipeline gave no answer; "" when it gave one. dice: name -> 0..1.
    false: confidences of findings in no target; hits: for each target that of the best finding in it, 0 for none.
    labels: question -> (answer, truth), answer "" when left open. scores: measurement -> (value, truth).
    """

    case: str
    refused: str = ""
    dice: Mapping[str, float] = field(default_factory=dict)
    false: tuple[float, ...] = ()
    hits: tuple[float, ...] | None = None
    labels: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    scores: Mapping[str, tuple[float, bool]] = field(default_factory=dict)
    patient: str = ""
    part: str = ""

    @property
    def badness(self) -> float:
        """How far it is from right, to find the worst case: 0 is faultless."""
        wrong = sum(1.0 for answer, truth in self.labels.values() if answer and answer != truth)
        missed = sum(1.0 for hit in self.hits or () if hit == 0)
        unlike = 1.0 - sum(self.dice.values()) / len(self.dice) if self.dice else 0.0
        return bool(self.refused) + wrong + missed + 0.1 * len(self.false) + unlike


def judge(case: str, result: Result, volume: Volume, truth: Reference) -> Outcome:
    """How far `result`, found in `volume`, agrees with `truth`."""
    false, hits = match_targets(result, volume.affine, truth.targets or ())
    return Outcome(
        case,
        dice={name: get_overlap(find_mask(result, name, volume), mask) for name, mask in truth.masks.items()},
        false=false if truth.targets is not None else (),
        hits=hits if truth.targets is not None else None,
        labels={question: (find_answer(result, question), truth.labels[question].lower()) for question in truth.labels},
        scores={
            name: (value, high)
            for name, high in truth.scores.items()
            if (value := find_value(result, name)) is not None
        },
    )


def refuse(case: str, why: str, truth: Reference) -> Outcome:
    """A case without an answer: nothing outlined, nothing found, every question left open."""
    return Outcome(
        case,
        why,
        dict.fromkeys(truth.masks, 0.0),
        hits=None if truth.targets is None else (0.0,) * len(truth.targets),
        labels={question: ("", answer.lower()) for question, answer in truth.labels.items()},
    )


def find_mask(result: Result, name: str, volume: Volume) -> Mask:
    """The segments called `name`: one with that key or label, or both sides of a pair, as "lung" is of "right-lung"."""
    mask = np.zeros(volume.shape, bool)
    for segment in result.segments:
        if is_called(segment, name):
            mask |= segment.mask
    return mask


def is_called(segment: Segment, name: str) -> bool:
    """Whether a reference means `segment` by `name`."""
    key, wanted = segment.key.lower(), name.lower()
    return wanted in {key, segment.label.lower()} or key.endswith(f"-{wanted}")


def get_overlap(found: Mask, truth: Mask) -> float:
    """Dice of two masks by MONAI; 1 when both are empty."""
    both = (torch.from_numpy(np.ascontiguousarray(mask))[None, None] for mask in (found, truth))
    return float(compute_dice(*both, include_background=True, ignore_empty=False)[0, 0])


def match_targets(
    result: Result, affine: Affine, targets: tuple[Target, ...]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """(confidences of findings in no target, for each target that of its best finding). A second finding in a target is
    no false one."""
    hits = [0.0] * len(targets)
    false = []
    for finding in result.findings:
        place = None if finding.absent else find_place(finding, result, affine)
        if place is None:
            continue
        confidence = find_confidence(finding)
        met = [n for n, target in enumerate(targets) if target.holds(place)]
        for n in met:
            hits[n] = max(hits[n], confidence)
        if not met:
            false.append(confidence)
    return tuple(false), tuple(hits)


def find_place(finding: Finding, result: Result, affine: Affine) -> tuple[float, float, float] | None:
    """The middle of a finding in mm (LPS); None when it has no place."""
    if finding.box is not None:
        index = (np.asarray(finding.box.low) + np.asarray(finding.box.high)) / 2
    else:
        segment = next((one for one in result.segments if one.key == finding.segment_key), None)
        if segment is None or segment.is_empty:
            return None
        index = np.argwhere(segment.mask).mean(axis=0)
    x, y, z, _ = (float(value) for value in affine @ [*index, 1.0])
    return x, y, z


def find_confidence(finding: Finding) -> float:
    """The probability, confidence or certainty among the measurements of a finding; 1 when it states none."""
    for measurement in finding.measurements:
        if any(word in measurement.concept.meaning.lower() for word in ("probability", "confidence", "certainty")):
            return measurement.value
    return 1.0


def find_answer(result: Result, question: str) -> str:
    """The answer to `question` in small letters; "" when there is none."""
    for finding in result.findings:
        for asked, answer in finding.qualifiers:
            if asked.meaning.lower() == question.lower():
                return answer.meaning.lower()
    return ""


def find_value(result: Result, name: str) -> float | None:
    """The highest value of the measurement called `name`; None when nothing was measured by that name."""
    values = [m.value for f in result.findings for m in f.measurements if m.concept.meaning.lower() == name.lower()]
    return max(values, default=None)
