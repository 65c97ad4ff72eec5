"""What is asked to be explained: one number of a network's answer, and when it goes up."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Score = Callable[[Tensor], Tensor]
"""Images (n, channel, *space) -> (n,): how much of what is explained the network sees in each."""


def score_class(network: Callable[[Tensor], Tensor], number: int) -> Score:
    """The logit of class `number` of a classifier, whose answers are (n, class)."""

    def score(images: Tensor) -> Tensor:
        return network(images).flatten(1)[:, number]

    return score


def score_region(network: Callable[[Tensor], Tensor], region: Tensor, channel: int = 0) -> Score:
    """The sum of the logits of `channel` over `region`, bool (*space), of a segmenting network, whose answers are
    (n, channel, *space): what made it find this region (Vinogradova et al. 2020)."""

    def score(images: Tensor) -> Tensor:
        logits = network(images)[:, channel].float()
        return torch.where(region, logits, 0.0).flatten(1).sum(dim=1)

    return score


class Scored(nn.Module):
    """A network with its score as the one class (n, 1) of a classifier, less its own value: 0, but with its gradient.

    Methods that take the exponential of a score, as GradCAM++ does, would overflow at a sum over a million voxels;
    that factor is the same for the whole map and says nothing.
    """

    def __init__(self, network: nn.Module, make: Callable[[nn.Module], Score]) -> None:
        super().__init__()
        self.network = network
        self._score = make(network)

    def forward(self, images: Tensor) -> Tensor:
        """(n, 1)."""
        score = self._score(images)
        return (score - score.detach())[:, None]
