"""Why a network of three planes (pipelines.steps.three_planes) answers so of a nodule, and how steadily: maps of what
it was shown, laid back on the volume."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.explanation.augment import make_changes
from pipelines.explanation.gradients import integrate_gradients
from pipelines.explanation.lay import lay_part
from pipelines.explanation.occlusion import occlude
from pipelines.explanation.scale import normalize, smooth
from pipelines.explanation.score import Score
from pipelines.steps.grow import Disc
from pipelines.steps.resample import Grid
from pipelines.steps.three_planes import ask, place_planes, show_nodule, to_input
from pipelines.terms import Volume

LUNG_HU = -850.0
"""What a nodule is told from, and hidden by: plain lung."""
CELL = 5
"""Pixels over which gradients are averaged: of single ones the deletion curve is worse."""
CHANGES = make_changes(flip=(0,), shifts=((0, 0, 0), (0, 1, 1), (0, 2, 0)))
"""Upside down, as in training, and moved within the planes. Mirrored left for right or turned nothing would change:
every answer is the mean over these already. The first is no change."""
Draw = Callable[[Score, Tensor, Tensor], Tensor]
"""What of pictures (1, 1, 3, SIDE, SIDE; by to_input) speaks for their score, compared with plain lung of the same
shape: float32 (3, SIDE, SIDE) on the CPU, positive and negative."""


def draw_gradients(score: Score, shown: Tensor, lung: Tensor) -> Tensor:
    """Integrated gradients, means over CELL pixels across each plane; see Draw."""
    return torch.stack([smooth(plane, CELL) for plane in integrate_gradients(score, shown, lung)])


def draw_occlusion(score: Score, shown: Tensor, lung: Tensor) -> Tensor:
    """How much the score drops where lung hides a place in all three planes at once; see Draw."""
    return occlude(score, shown, lung)


def draw_nodules(
    network: nn.Module, draw: Draw, volume: Volume, discs: Sequence[Disc], tell: Callable[[float], None]
) -> NDArray[np.float32]:
    """What speaks, around each of `discs`, for the logit of `network` (on any device): float32 (k, j, i of `volume`),
    for each a share of its own highest, 0..1; of several the highest, and 0 where the network did not look.

    Linear between the three planes, and half way on beyond the outer ones. `tell` is told the share done.
    """
    grid = Grid(volume.shape, volume.affine)
    made = np.zeros(grid.shape, np.float32)
    for number, disc in enumerate(discs, 1):
        affine = place_planes(volume.affine, volume.spacing, disc.center, disc.diameter_mm)
        drawn = draw_nodule(network, draw, volume, disc)
        box, part = lay_part(drawn, affine, grid)
        made[box] = np.maximum(made[box], normalize(torch.from_numpy(part)).numpy())
        tell(number / len(discs))
    return made


def draw_nodule(network: nn.Module, draw: Draw, volume: Volume, disc: Disc) -> Tensor:
    """`draw` for the logit of `network` for the nodule at `disc` of `volume`, on its three planes."""
    shown = show(network, volume, disc)[None, None]
    lung = torch.full_like(shown, float(to_input(torch.tensor(LUNG_HU))))
    return draw(score_planes(network), shown, lung)


def score_planes(network: nn.Module) -> Score:
    """The logit of pictures (n, 1, 3, SIDE, SIDE): to the network a plane is a channel, here an axis of space, so that
    a map tells the planes apart."""
    return lambda images: ask(network, images[:, 0])


def read_again(network: nn.Module, volume: Volume, disc: Disc) -> NDArray[np.float64]:
    """The logit of `network` for the nodule at `disc` of `volume`, after each of CHANGES."""
    shown = show(network, volume, disc)
    with torch.inference_mode():
        return np.asarray(ask(network, torch.stack([change.apply(shown) for change in CHANGES])).cpu().numpy())


def show(network: nn.Module, volume: Volume, disc: Disc) -> Tensor:
    """What `network` is shown of the nodule at `disc`: (3, SIDE, SIDE), by to_input, on its device."""
    planes = show_nodule(volume.voxels, volume.spacing, disc.center, disc.diameter_mm)
    return to_input(torch.from_numpy(planes).to(next(network.parameters()).device))
