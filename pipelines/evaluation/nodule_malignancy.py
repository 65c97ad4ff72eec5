"""How good nodule-malignancy is on patients that it never saw, beside the diameter alone:

    python -m pipelines.evaluation.nodule_malignancy judged.npz

judged.npz: from `python -m pipelines.training.nodule_malignancy --judge`. Calibrations are fitted anew without the fold
that they are judged on.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from pipelines.evaluation.figures import Table, get_auc
from pipelines.evaluation.interval import find_interval
from pipelines.evaluation.markdown import write_markdown
from pipelines.evaluation.reference import Outcome
from pipelines.nodule_malignancy.pipeline import NoduleMalignancy
from pipelines.steps.logistic import Numbers, fit_logistic, predict_logistic

BINS = 10
WAY, BASE = "network and diameter (as shipped)", "diameter of the radiologists' outline"
Pair = tuple[float, bool]


def main(path: Path) -> None:
    """Prints Markdown."""
    with np.load(path) as data:
        logits, sizes, answers = data["logits"], data["sizes"], data["answers"]
        references, folds, patients = data["references"], data["folds"], data["patients"].tolist()
    ways = {
        WAY: np.c_[logits, sizes],
        "diameter alone (as shipped)": sizes[:, None],
        BASE: references[:, None],
        "network alone": logits[:, None],
    }
    chances = {way: calibrate(numbers, answers, folds) for way, numbers in ways.items()}
    tables = [tabulate(chances, answers, patients), compare(chances, answers, patients)]
    worst = max(range(len(answers)), key=lambda n: abs(chances[WAY][n] - answers[n]))
    said = f"nodule of {np.exp(sizes[worst]):.1f} mm: {chances['network and diameter (as shipped)'][worst]:.2f}"
    case = Outcome(f"{said}, rated {'suspicious' if answers[worst] else 'not suspicious'}", false=(1.0,))
    name = f"nodule-malignancy {NoduleMalignancy.manifest.version}"
    command = "python -m pipelines.evaluation.nodule_malignancy judged.npz"
    Console(width=200, soft_wrap=True).print(write_markdown(name, command, "", tables, [case]), markup=False)


def calibrate(numbers: Numbers, answers: NDArray[np.bool_], folds: NDArray[np.int64]) -> Numbers:
    """The probability of each case, by a fit without its fold."""
    chances = np.zeros(len(answers))
    for fold in np.unique(folds):
        own = folds == fold
        chances[own] = predict_logistic(fit_logistic(numbers[~own], answers[~own]), numbers[own])
    return chances


def get_brier(pairs: Sequence[Pair]) -> float:
    """Mean square of probability less truth: 0 is perfect, 0.25 is a coin's."""
    return float(np.mean([(chance - truth) ** 2 for chance, truth in pairs]))


def get_calibration_error(pairs: Sequence[Pair]) -> float:
    """Expected calibration error: |probability - share of true ones|, over BINS bins as wide as each other."""
    chances, truths = np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs], dtype=np.float64)
    bins = np.minimum((chances * BINS).astype(int), BINS - 1)
    gaps = [abs(float((chances[bins == b] - truths[bins == b]).sum())) for b in range(BINS)]
    return sum(gaps) / len(pairs)


def tabulate(chances: dict[str, Numbers], answers: NDArray[np.bool_], patients: list[str]) -> Table:
    """AUC, Brier score and calibration error of each way."""
    figures: tuple[Callable[[Sequence[Pair]], float | None], ...] = (get_auc, get_brier, get_calibration_error)
    rows = []
    for way, values in chances.items():
        pairs = list(zip(values.tolist(), answers.tolist(), strict=True))
        cells = [_say(figure(pairs), find_interval(pairs, patients, figure)) for figure in figures]
        rows.append((way, str(len(pairs)), str(len(set(patients))), str(int(answers.sum())), *cells))
    head = (
        "by",
        "nodules",
        "patients",
        "suspicious",
        "AUC (95 % CI)",
        "Brier (95 % CI)",
        "calibration error (95 % CI)",
    )
    return Table("Suspicious or not, on patients left out", head, tuple(rows))


def compare(chances: dict[str, Numbers], answers: NDArray[np.bool_], patients: list[str]) -> Table:
    """By how much the AUC of the others is above that of the radiologists' diameter, on the same samples."""
    base = chances[BASE]
    rows = []
    for way, values in chances.items():
        if values is base:
            continue
        triples = list(zip(values.tolist(), base.tolist(), answers.tolist(), strict=True))
        rows.append((way, _say(_differ(triples), find_interval(triples, patients, _differ))))
    return Table(
        "AUC above that of the diameter of the radiologists' outline", ("by", "difference (95 % CI)"), tuple(rows)
    )


def _differ(triples: Sequence[tuple[float, float, bool]]) -> float | None:
    one = get_auc([(value, truth) for value, _, truth in triples])
    other = get_auc([(value, truth) for _, value, truth in triples])
    return None if one is None or other is None else one - other


def _say(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "-"
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
