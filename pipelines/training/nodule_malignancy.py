"""Trains nodule-malignancy: `python -m pipelines.training.nodule_malignancy --pictures pictures.npz --out
weights.safetensors [--judge judged.npz]`.

Nodules rated above 3 of 5 are suspicious, those below are not, those rated 3 are left out. FOLDS networks are trained,
each without a fold of patients, whose nodules it then scores: the calibration is fitted to these scores, which no
network gave to a nodule that it had seen. The network that is shipped is trained on all. --judge keeps the scores for
pipelines.evaluation.nodule_malignancy.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from pipelines.nodule_malignancy.pipeline import BASELINE, CALIBRATION, WIDTH
from pipelines.steps.logistic import Numbers, fit_logistic
from pipelines.training.nodule_folds import Pictures, assign_folds, load_pictures
from pipelines.training.three_planes import score, train

FOLDS = 5
UNSURE = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, trains, writes weights and scores."""
    parser = argparse.ArgumentParser(description="Train nodule-malignancy")
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--epochs", type=int, default=24)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    pictures = load_pictures(options.pictures)
    rated = pictures.pick((pictures.nodule == 1) & (pictures.malignancy != UNSURE))
    answers = rated.malignancy > UNSURE
    logits = score_unseen(rated, options.epochs)
    sizes = np.log(rated.diameter_mm)
    if options.judge:
        known: dict[str, Any] = {"answers": answers, "folds": assign_folds(rated, FOLDS), "patients": rated.patient}
        np.savez(options.judge, logits=logits, sizes=sizes, references=np.log(rated.reference_mm), **known)
    network = train(rated.views, answers.astype(np.int64), options.epochs, 0, WIDTH)
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    tensors[CALIBRATION] = _to_tensor(fit_logistic(np.c_[logits, sizes], answers))
    tensors[BASELINE] = _to_tensor(fit_logistic(sizes[:, None], answers))
    save_file(tensors, options.out)


def score_unseen(rated: Pictures, epochs: int) -> Numbers:
    """The logit of each nodule, by a network that saw no nodule of its patient."""
    folds, logits = assign_folds(rated, FOLDS), np.zeros(len(rated.nodule))
    for number in range(FOLDS):
        own = folds == number
        seen = rated.pick(~own)
        network = train(seen.views, (seen.malignancy > UNSURE).astype(np.int64), epochs, number, WIDTH)
        logits[own] = score(network, rated.views[own])
    return logits


def _to_tensor(values: Numbers) -> Tensor:
    return torch.from_numpy(values.astype(np.float32))


if __name__ == "__main__":
    main()
