"""How good the lung model is on patients it never saw:

    python -m pipelines.evaluation.lung_seg --data CACHE --fold PATIENT=weights.safetensors [--fold ...] [--json OUT]

Each fold's weights were trained with `--hold-out PATIENT`, and are judged on that patient's scans alone: whole, and
as the views of pipelines.evaluation.lung_views. Truth is the rule-made label, not a radiologist.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from safetensors.torch import load_file

from pipelines.evaluation.dice import get_dice
from pipelines.evaluation.lung_views import make_views
from pipelines.lung_seg.pipeline import LungModel, make_model
from pipelines.steps.resample import Grid, resample
from pipelines.terms import Mask, Volume
from pipelines.training.lung_cases import Case, load_cases

LEAST_ML = 50.0
"""With less lung than this in view, Dice says little: only the volumes are given."""


@dataclass(frozen=True, slots=True)
class Row:
    """One run. dice: None when the view holds less than LEAST_ML of lung."""

    case: str
    view: str
    dice: float | None
    found_ml: float
    truth_ml: float
    seconds: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, runs every view, prints the table, writes the JSON."""
    parser = argparse.ArgumentParser(description="Judge the lung model")
    parser.add_argument("--data", type=Path, required=True, help="folder of NAME.npz from workers.training_data")
    parser.add_argument("--fold", action="append", required=True, metavar="PATIENT=WEIGHTS")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args(arguments)
    cases = load_cases(options.data)
    rows: list[Row] = []
    for fold in options.fold:
        patient, _, weights = fold.partition("=")
        model = make_model(load_file(weights), options.device)
        for case in (case for case in cases if case.patient == patient):
            rows.extend(evaluate(model, case))
    show(rows)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=1), "utf-8")


def evaluate(model: LungModel, case: Case) -> Iterator[Row]:
    """One row for each view of `case`."""
    volume = Volume(case.voxels.astype(np.float32), case.affine, "1.2.3", "CT")
    for view, seen, truth in make_views(volume, get_truth(case)):
        start = perf_counter()
        result = model.run(seen, lambda _done, _activity: None)
        seconds = perf_counter() - start
        found = np.zeros(seen.shape, dtype=bool)
        for segment in result.segments:
            found |= segment.mask
        truth_ml, found_ml = (float(mask.sum()) * seen.voxel_ml for mask in (truth, found))
        dice = get_dice(found, truth) if truth_ml >= LEAST_ML else None
        yield Row(case.name, view, dice, round(found_ml, 1), round(truth_ml, 1), round(seconds, 2))


def get_truth(case: Case) -> Mask:
    """The label of `case` on the scan's own grid."""
    label = torch.from_numpy(case.lungs.astype(np.float32))
    truth = resample(label, case.grid.affine, Grid(case.voxels.shape, case.affine), antialias=False) > 0.5
    return np.asarray(truth.numpy())


def show(rows: Sequence[Row]) -> None:
    """Prints every row, and per case the mean and the worst Dice of its slabs."""
    table = Table("scan", "view", "Dice", "found mL", "truth mL", "s")
    for row in rows:
        dice = "-" if row.dice is None else f"{row.dice:.4f}"
        table.add_row(row.case, row.view, dice, f"{row.found_ml:.0f}", f"{row.truth_ml:.0f}", f"{row.seconds:.1f}")
    for case in dict.fromkeys(row.case for row in rows):
        slabs = [row.dice for row in rows if row.case == case and row.view.startswith("slab") and row.dice is not None]
        if slabs:
            table.add_row(
                case, f"{len(slabs)} slabs: mean, worst", f"{np.mean(slabs):.4f}, {min(slabs):.4f}", "", "", ""
            )
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
