"""Trains the small network of pipelines.steps.three_planes on pictures: two kinds, told apart."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pipelines.steps.three_planes import HU_RANGE, make_network, predict, to_input

RATE = 3e-3
BATCH = 64


def train(
    views: NDArray[np.uint8], answers: NDArray[np.int64], epochs: int, seed: int = 0, width: int = 24
) -> nn.Module:
    """A network that tells pictures with answer 1 from those with 0. views: (n, ways, 3, side, side), the first way as
    a pipeline sees it; each epoch shows one way of every picture, and both answers equally often."""
    torch.manual_seed(seed)
    dice = np.random.default_rng(seed)
    network = make_network(width).train()
    groups = [np.flatnonzero(answers == kind) for kind in (0, 1)]
    share = max(len(group) for group in groups)
    steps = epochs * ((2 * share + BATCH - 1) // BATCH)
    optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=2e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(epochs):
        chosen = np.concatenate([dice.permutation(np.resize(dice.permutation(group), share)) for group in groups])
        for part in np.array_split(dice.permutation(chosen), steps // epochs):
            shown = to_hu(views[part, dice.integers(0, views.shape[1], len(part))])
            logits = network(to_input(_turn(shown, dice)))[:, 0]
            wanted = torch.from_numpy(answers[part]).float() * 0.94 + 0.03
            loss = functional.binary_cross_entropy_with_logits(logits, wanted)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return network.eval()


def to_hu(views: NDArray[np.uint8]) -> Tensor:
    """Pictures as they are kept, in HU again."""
    low, high = HU_RANGE
    return torch.from_numpy(views.astype(np.float32) * ((high - low) / 255) + low)


def score(network: nn.Module, views: NDArray[np.uint8]) -> NDArray[np.float64]:
    """The logit of each picture as a pipeline sees it."""
    parts = np.array_split(views[:, 0], max(1, len(views) // 256))
    return np.concatenate([predict(network, to_hu(part).numpy(), "cpu") for part in parts])


def _turn(shown: Tensor, dice: np.random.Generator) -> Tensor:
    """The batch mirrored and turned at random, and upside down."""
    if dice.random() < 0.5:
        shown = shown.flip(1)
    if dice.random() < 0.5:
        shown = shown.flip(3)
    return torch.rot90(shown, int(dice.integers(0, 4)), (2, 3))
