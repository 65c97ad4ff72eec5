"""Trains the network of lung-nodule: `python -m pipelines.training.lung_nodule --pictures pictures.npz --out
weights.safetensors [--hold-out N]`.

--hold-out: fold of patients that is left out, for figures on somebody unseen (pipelines.evaluation.lung_nodule).
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from pipelines.lung_nodule.pipeline import WIDTH
from pipelines.training.nodule_folds import assign_folds, load_pictures
from pipelines.training.three_planes import train

FOLDS = 3


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line, trains, writes the weights."""
    parser = argparse.ArgumentParser(description="Train the network of lung-nodule")
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hold-out", type=int, choices=range(FOLDS))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    pictures = load_pictures(options.pictures)
    if options.hold_out is not None:
        pictures = pictures.pick(assign_folds(pictures, FOLDS) != options.hold_out)
    network = train(pictures.views, pictures.nodule, options.epochs, options.seed, WIDTH)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, options.out)


if __name__ == "__main__":
    main()
