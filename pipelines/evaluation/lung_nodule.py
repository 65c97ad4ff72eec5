"""How good lung-nodule is on patients that it never saw:

    python -m pipelines.evaluation.lung_nodule --pictures pictures.npz --lidc LIDC --scans CACHE
        [--lesions lesions.json] --fold N=WEIGHTS ...

Each fold's weights were trained with `--hold-out N`. Nodules of that fold's LIDC patients are planted in the scans of
that fold's scanned patients, and the whole pipeline runs on them: FROC, the worst scan, what is reported at the
threshold. Then the pictures alone, to see whether the network tells the source of a picture instead of a nodule.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from safetensors.torch import load_file

from pipelines.catalog import get_pipeline
from pipelines.evaluation.figures import Table, get_auc, tabulate_froc
from pipelines.evaluation.interval import find_interval
from pipelines.evaluation.markdown import write_markdown
from pipelines.evaluation.planting import plant
from pipelines.evaluation.reference import Outcome, Reference, Target, judge
from pipelines.lung_nodule.pipeline import LEAST_LOGIT, MOST, WIDTH, LungNodule, NoduleModel, make_model
from pipelines.steps.three_planes import make_network
from pipelines.terms import Volume
from pipelines.training.lidc import Voi, read_vois
from pipelines.training.lung_nodule import FOLDS
from pipelines.training.nodule_cases import find_lungs
from pipelines.training.nodule_folds import LIDC, Pictures, assign_folds, load_pictures
from pipelines.training.three_planes import score

COPIES, PLANTED = 10, 6
KEPT = 40
"""The likeliest candidates of a scan, which are judged: an outline as large as the scan is kept of each."""
COMMAND = "--pictures pictures.npz --lidc LIDC --scans CACHE --lesions lesions.json --fold 0=FOLD --fold 2=FOLD"
LARGEST_MM = 25.0
WIDEST_MM = float(LungNodule.manifest.requires.spacing_mm[1])


@dataclass(frozen=True, slots=True, eq=False)
class Fold:
    """Weights, and who was left out when they were trained: LIDC patients and names of scans."""

    model: NoduleModel
    lidc: frozenset[str]
    scans: frozenset[str]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, runs all folds, prints Markdown."""
    parser = argparse.ArgumentParser(description="Judge lung-nodule")
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--lidc", type=Path, required=True)
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--lesions", type=Path, help="see pipelines.training.nodule_cases")
    parser.add_argument("--fold", action="append", required=True, metavar="N=WEIGHTS")
    options = parser.parse_args(arguments)
    pictures = load_pictures(options.pictures)
    folds = assign_folds(pictures, FOLDS)
    vois = [voi for voi in read_vois(options.lidc) if voi.diameter_mm <= LARGEST_MM]
    lesions = json.loads(options.lesions.read_text("utf-8")) if options.lesions else {}
    outcomes: list[Outcome] = []
    rows = []
    for choice in options.fold:
        number, _, weights = choice.partition("=")
        left_out = pictures.pick(folds == int(number))
        fold = load_fold(Path(weights), left_out)
        rows.append((number, *compare_sources(Path(weights), left_out)))
        outcomes += run_fold(fold, vois, options.scans, lesions)
    sources = Table(
        "Pictures: does the network know the source? AUC",
        ("fold", "nodules", "LIDC beside", "scans", "sources"),
        tuple(rows),
    )
    tables = [tabulate_froc(outcomes), tabulate_threshold(outcomes), sources]
    name = f"lung-nodule {LungNodule.manifest.version}"
    command = f"python -m pipelines.evaluation.lung_nodule {COMMAND}"
    Console(width=200, soft_wrap=True).print(write_markdown(name, command, "", tables, outcomes), markup=False)


def load_fold(weights: Path, left_out: Pictures) -> Fold:
    """A model that reports the KEPT likeliest, however unlikely, and those whom it never saw."""
    lungs = get_pipeline("lung-seg").load("cpu")
    model = make_model(load_file(weights), lungs, least_logit=-1e9, most=KEPT)
    own = left_out.source == LIDC
    return Fold(model, frozenset(left_out.patient[own].tolist()), frozenset(left_out.source[~own].tolist()))


def run_fold(
    fold: Fold, vois: Sequence[Voi], scans: Path, lesions: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[Outcome]:
    """COPIES of each scan left out that the pipeline accepts, with nodules of LIDC patients left out. lesions: by scan,
    what is or may be a nodule of its own: to find it is neither right nor wrong."""
    own = [voi for voi in vois if voi.patient in fold.lidc]
    dice = np.random.default_rng(0)
    for path in (path for path in sorted(scans.glob("*.npz")) if path.stem in fold.scans):
        with np.load(path) as data:
            volume = Volume(data["voxels"].astype(np.float32), data["affine"].astype(np.float64), "1.2.3", "CT")
            patient = str(data["patient"])
        if volume.spacing[0] > WIDEST_MM:
            continue
        lungs, own_lesions = find_lungs(volume), [_make_target(lesion) for lesion in lesions.get(path.stem, ())]
        for copy in range(COPIES):
            chosen = [own[n] for n in dice.choice(len(own), PLANTED, replace=False)]
            planted, targets = plant(volume, lungs, chosen, dice)
            result = fold.model.run(planted, lambda *_: None)
            outcome = judge("", result, planted, Reference(targets=(*targets, *own_lesions)))
            name, hits = f"{path.stem}, copy {copy + 1}", (outcome.hits or ())[: len(targets)]
            yield Outcome(name, false=outcome.false, hits=hits, patient=patient)


def _make_target(lesion: Mapping[str, Any]) -> Target:
    (x, y, z), reach = lesion["center_mm"], float(lesion["radius_mm"])
    return Target((x - reach, y - reach, z - reach), (x + reach, y + reach, z + reach), round=True)


def tabulate_threshold(outcomes: Sequence[Outcome]) -> Table:
    """What is reported: at LEAST_LOGIT, and at most MOST."""
    level = 1.0 / (1.0 + np.exp(-LEAST_LOGIT))
    rows = []
    for outcome in outcomes:
        every = sorted([*outcome.false, *(hit for hit in outcome.hits or () if hit > 0)], reverse=True)
        least = max(level, every[MOST - 1] if len(every) >= MOST else 0.0)
        found = sum(hit >= least for hit in outcome.hits or ())
        false = sum(one >= least for one in outcome.false)
        seen = sum(hit > 0 for hit in outcome.hits or ())
        rows.append((outcome.case, str(len(outcome.hits or ())), str(seen), str(found), str(false)))
    rows.sort(key=lambda row: int(row[3]) / max(1, int(row[1])))
    return Table(
        "As reported, the worst first",
        ("scan", "planted", f"among the {KEPT} likeliest", "reported", "false"),
        tuple(rows),
    )


def compare_sources(weights: Path, pictures: Pictures) -> tuple[str, ...]:
    """(nodules, then AUC with interval: nodules against what lies beside them in LIDC's cut-outs; against what is in
    the scans; and LIDC's other things against the scans', 0.5 where the source does not matter)."""
    network = make_network(WIDTH)
    network.load_state_dict(load_file(weights))
    logits = score(network.eval(), pictures.views)
    nodule, lidc = pictures.nodule == 1, pictures.source == LIDC
    beside, scans = ~nodule & lidc, ~nodule & ~lidc
    said = [
        _say_auc(logits, pictures.patient, one, other)
        for one, other in ((nodule, beside), (nodule, scans), (beside, scans))
    ]
    return str(int(nodule.sum())), *said


def _say_auc(
    logits: NDArray[np.float64], patients: NDArray[np.str_], high: NDArray[np.bool_], low: NDArray[np.bool_]
) -> str:
    pairs = [*((float(value), True) for value in logits[high]), *((float(value), False) for value in logits[low])]
    interval = find_interval(pairs, [*patients[high].tolist(), *patients[low].tolist()], get_auc)
    auc = get_auc(pairs)
    if auc is None or interval is None:
        return "-"
    return f"{auc:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


if __name__ == "__main__":
    main()
