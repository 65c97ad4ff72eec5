"""Integrated gradients (Sundararajan, Taly and Yan 2017, arXiv:1703.01365): how much each voxel adds to a score.

MONAI has no such class, and captum wants NumPy 1; the axiom of completeness is the test of these lines.
"""

import torch
from torch import Tensor

from pipelines.explanation.score import Score

STEPS = 16


def integrate_gradients(score: Score, image: Tensor, baseline: Tensor, steps: int = STEPS) -> Tensor:
    """What each voxel of `image` adds to its score, against that of `baseline` (same shape), in the unit of the score:
    float32 (*space), channels summed, positive and negative.

    The sum of all is score(image) - score(baseline), up to the error of the midpoint rule with `steps` points. Takes
    `steps` times forward and backward, and the memory of one.
    """
    total = torch.zeros_like(image)
    way = image - baseline
    with torch.enable_grad():
        for n in range(steps):
            point = (baseline + way * ((n + 0.5) / steps)).detach().requires_grad_()
            (gradient,) = torch.autograd.grad(score(point).sum(), point)
            total += gradient
    return (way * total / steps).sum(dim=1)[0].detach().float().cpu()
