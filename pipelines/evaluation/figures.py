"""The figures of a pipeline over many cases, each with its interval: tables of text, the same for Markdown and JSON."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from monai.metrics import compute_froc_curve_data, compute_froc_score, compute_roc_auc

from pipelines.evaluation.interval import find_interval
from pipelines.evaluation.reference import Outcome

FALSE_PER_CASE = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""At which sensitivity is given, and over which it is averaged (as LUNA16 and CAMELYON16 do)."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text below `head`, with a sentence that says what they are."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def make_tables(outcomes: Sequence[Outcome]) -> Iterator[Table]:
    """A table for each kind of reference that there is."""
    yield from (table for make in MAKERS if (table := make(outcomes)).rows)


def tabulate_dice(outcomes: Sequence[Outcome]) -> Table:
    """Dice of each structure; a refused case counts as 0."""
    rows = []
    for name in _names(outcome.dice for outcome in outcomes):
        cases = [outcome for outcome in outcomes if name in outcome.dice]
        values = [outcome.dice[name] for outcome in cases]
        worst = cases[int(np.argmin(values))]
        cells = (
            f"{np.mean(values):.3f}",
            _say(find_interval(values, _patients(cases), _mean)),
            f"{min(values):.3f} ({worst.case})",
        )
        rows.append((name, str(len(cases)), _count(cases), *cells))
    return Table("Overlap", ("structure", "cases", "patients", "mean Dice", "95 % CI", "worst"), tuple(rows))


def tabulate_froc(outcomes: Sequence[Outcome]) -> Table:
    """Sensitivity at so many false findings a case."""
    cases = [outcome for outcome in outcomes if outcome.hits is not None]
    targets = sum(len(outcome.hits or ()) for outcome in cases)
    head = ("cases", "patients", "targets", *(f"at {rate:g}" for rate in FALSE_PER_CASE), "mean", "95 % CI of the mean")
    if not targets:
        return Table("Sensitivity by false findings per case", head, ())
    at = [get_sensitivity(cases, (rate,)) or 0.0 for rate in FALSE_PER_CASE]
    mean, interval = get_sensitivity(cases, FALSE_PER_CASE), find_interval(cases, _patients(cases), get_sensitivity)
    row = (
        str(len(cases)),
        _count(cases),
        str(targets),
        *(f"{value:.3f}" for value in at),
        f"{mean:.3f}",
        _say(interval),
    )
    return Table("Sensitivity by false findings per case", head, (row,))


def get_sensitivity(cases: Sequence[Outcome], rates: tuple[float, ...] = FALSE_PER_CASE) -> float | None:
    """Share of all targets that is found, averaged over false findings per case; None when there is no target."""
    hits = np.array([hit for outcome in cases for hit in outcome.hits or ()])
    if not hits.size:
        return None
    false = np.array([confidence for outcome in cases for confidence in outcome.false])
    # MONAI leaves the lowest confidence out, taking it for that of a missed target: there is one now.
    curve = compute_froc_curve_data(false, np.append(hits, 0.0), hits.size, len(cases))
    return float(compute_froc_score(*curve, eval_thresholds=rates))


def tabulate_labels(outcomes: Sequence[Outcome]) -> Table:
    """How often each question is answered rightly, wrongly, not at all."""
    rows = []
    for question in _names(outcome.labels for outcome in outcomes):
        cases = [outcome for outcome in outcomes if question in outcome.labels]
        pairs = [outcome.labels[question] for outcome in cases]
        right = sum(answer == truth for answer, truth in pairs)
        left = sum(answer == "" for answer, _ in pairs)
        share = _share(pairs)
        wrong = len(pairs) - right - left
        cells = ("-" if share is None else f"{share:.3f}", _say(find_interval(pairs, _patients(cases), _share)))
        rows.append((question, str(len(pairs)), _count(cases), str(right), str(wrong), str(left), *cells))
    head = ("question", "cases", "patients", "right", "wrong", "left open", "right of those answered", "95 % CI")
    return Table("Classification", head, tuple(rows))


def tabulate_parts(outcomes: Sequence[Outcome]) -> Table:
    """The same for each part of the cases, without intervals: parts are small."""
    rows = []
    for part in dict.fromkeys(outcome.part for outcome in outcomes if outcome.part):
        own = [outcome for outcome in outcomes if outcome.part == part]
        rows += [(part, *row[:6]) for row in tabulate_labels(own).rows]
    head = ("part", "question", "cases", "patients", "right", "wrong", "left open")
    return Table("Classification, part by part", head, tuple(rows))


def tabulate_auc(outcomes: Sequence[Outcome]) -> Table:
    """Area under the ROC curve of each measurement."""
    rows = []
    for name in _names(outcome.scores for outcome in outcomes):
        cases = [outcome for outcome in outcomes if name in outcome.scores]
        pairs = [outcome.scores[name] for outcome in cases]
        auc = get_auc(pairs)
        cells = ("-" if auc is None else f"{auc:.3f}", _say(find_interval(pairs, _patients(cases), get_auc)))
        rows.append((name, str(len(pairs)), _count(cases), str(sum(truth for _, truth in pairs)), *cells))
    return Table(
        "Area under the ROC curve", ("measurement", "cases", "patients", "positive", "AUC", "95 % CI"), tuple(rows)
    )


def get_auc(pairs: Sequence[tuple[float, bool]]) -> float | None:
    """AUC of (value, truth) by MONAI; None where only one kind of truth is there."""
    truths = [truth for _, truth in pairs]
    if all(truths) or not any(truths):
        return None
    values = torch.tensor([value for value, _ in pairs], dtype=torch.float64)
    return float(np.asarray(compute_roc_auc(values, torch.tensor(truths, dtype=torch.int64))))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _share(pairs: Sequence[tuple[str, str]]) -> float | None:
    answered = [answer == truth for answer, truth in pairs if answer]
    return float(np.mean(answered)) if answered else None


def _patients(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.patient or outcome.case for outcome in outcomes]


def _count(outcomes: Sequence[Outcome]) -> str:
    return str(len(set(_patients(outcomes))))


def _names(several: Iterable[Iterable[str]]) -> list[str]:
    return list(dict.fromkeys(name for names in several for name in names))


def _say(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.3f} to {interval[1]:.3f}"


MAKERS: tuple[Callable[[Sequence[Outcome]], Table], ...] = (
    tabulate_dice,
    tabulate_froc,
    tabulate_labels,
    tabulate_parts,
    tabulate_auc,
)
