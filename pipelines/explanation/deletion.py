"""The deletion curve (Petsiuk, Das and Saenko 2018, arXiv:1806.07421): a map is worth something when the score falls
sooner without the voxels that it calls important than without others."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pipelines.explanation.score import Score

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)


@torch.no_grad()
def delete_first(
    score: Score, image: Tensor, salience: Tensor, fill: Tensor, shares: Sequence[float] = SHARES
) -> list[float]:
    """The score of `image` when those `shares` of its voxels that are highest in `salience` (*space) are as in `fill`.
    Of equal ones the first in memory go first."""
    order = salience.flatten().argsort(descending=True, stable=True).to(image.device)
    curve = []
    for share in shares:
        gone = torch.zeros(order.numel(), dtype=torch.bool, device=image.device)
        gone[order[: round(share * order.numel())]] = True
        curve.append(float(score(torch.where(gone.reshape(salience.shape), fill, image))[0]))
    return curve


def find_area(curve: Sequence[float], shares: Sequence[float] = SHARES) -> float:
    """The mean height of a curve over its shares (trapezoids): the less, the better the map."""
    steps = zip(curve, curve[1:], shares, shares[1:], strict=False)
    area = sum((high + low) / 2 * (after - before) for high, low, before, after in steps)
    return area / (shares[-1] - shares[0])
