"""How far several answers to the same question lie apart: of one network on changed images, or of several networks."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """Of `count` answers of one shape, probabilities 0..1. mean, deviation: float32 on the CPU; deviation is that of
    these answers (divided by `count`), 0..0.5."""

    mean: Tensor
    deviation: Tensor
    count: int

    @property
    def entropy(self) -> Tensor:
        """Of the mean probability of a thing that is there or not, in bits: 0 where all are sure and agree, 1 where
        they are undecided or contradict each other."""
        return find_entropy(self.mean)


def find_entropy(mean: Tensor) -> Tensor:
    """Of a probability 0..1, in bits: 0 at both ends, 1 in the middle."""
    p = mean.clamp(1e-7, 1 - 1e-7)
    found = -(p * p.log2() + (1 - p) * (1 - p).log2())
    return torch.where((mean <= 0) | (mean >= 1), 0.0, found)


def find_spread(answers: Iterable[Tensor]) -> Spread:
    """The spread of `answers`, taken one at a time: two arrays are held, however many there are (Welford 1962).
    Raises ValueError for fewer than two: one answer has no spread."""
    count, mean, squares = 0, torch.zeros(()), torch.zeros(())
    for answer in answers:
        values = answer.detach().double().cpu()
        count += 1
        step = values - mean
        mean = mean + step / count
        squares = squares + step * (values - mean)
    if count < 2:
        raise ValueError(f"the spread of {count} answers is asked for: it takes two at least")
    return Spread(mean.float(), (squares / count).clamp_min(0).sqrt().float(), count)


def ask_ensemble(networks: Iterable[torch.nn.Module], image: Tensor) -> Iterable[Tensor]:
    """The logits of several networks, for instance folds of one training, on `image`: one at a time in memory."""
    for network in networks:
        with torch.no_grad():
            yield network.eval()(image)
