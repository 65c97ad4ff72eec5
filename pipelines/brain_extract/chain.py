"""From a head to the outline of its brain: find the box, look closely, look wider where the box cut.

The steps and constants are those under which deepbet's networks were trained (Fisch et al., 2024,
doi 10.1016/j.compbiomed.2024.108845): change them and the networks see what they never saw.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipelines.pipeline import Progress
from pipelines.steps.components import fill_holes, keep_largest
from pipelines.terms import Mask

COARSE, FINE = (128, 128, 128), (256, 256, 256)
"""Voxels of the networks' inputs, whatever the shape of what is squeezed into them."""
MARGIN = 0.1
"""Share of the brain's length that the box adds at either end."""
MORE_LOOKS = 2
"""How often, at most, a box that cut the brain is widened."""

Network = Callable[[Tensor], Tensor]
Box = tuple[slice, slice, slice]
EMPTY = (slice(0), slice(0), slice(0))


@dataclass(frozen=True, slots=True)
class Window:
    """The intensities between which the networks see: 0.5 and 99.5 percentile of the whole head."""

    low: float
    high: float

    def standardize(self, head: Tensor) -> Tensor:
        """`head` clipped to the window, with the mean and deviation that the networks expect."""
        clipped = ((head - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
        deviation = clipped.std().clamp_min(1e-6)
        return 0.226 * (clipped - clipped.mean()) / deviation + 0.449


@dataclass(frozen=True, slots=True, eq=False)
class Outline:
    """mask: the brain, bool (x, y, z), empty when there is none. chance: the probability of brain in `box` of it, where
    the network looked closely."""

    mask: Mask
    box: Box
    chance: Tensor


@torch.inference_mode()
def outline_brain(
    head: NDArray[np.float32], find: Network, outline: Network, device: str, progress: Progress
) -> Outline:
    """The brain in `head` (x, y, z: right, anterior, superior), on the same grid.

    find, outline: probability (1, 2, ...) of background and brain for an input (1, 1, ...) of COARSE, FINE voxels.
    """
    whole = torch.from_numpy(np.ascontiguousarray(head)).to(device)
    small = _squeeze(whole, COARSE)
    window = Window(float(small.quantile(0.005)), float(small.quantile(0.995)))
    progress(0.1, "find the brain")
    box = find_box(_ask(find, small, window) > 0.5, head.shape)
    if box is None or window.high <= window.low:
        return Outline(np.zeros(head.shape, dtype=bool), EMPTY, whole[EMPTY])
    progress(0.3, "outline the brain")
    chance, part = _look(outline, whole, box, window)
    for more in range(MORE_LOOKS):
        wider = widen(box, part, head.shape)
        if wider == box:
            break
        progress(0.5 + 0.2 * more, "outline the brain in a wider box")
        box, (chance, part) = wider, _look(outline, whole, wider, window)
    progress(0.9, "clean the outline")
    mask = np.zeros(head.shape, dtype=bool)
    mask[box] = fill_holes(part)
    return Outline(mask, box, chance)


def find_box(coarse: Tensor, shape: tuple[int, ...]) -> Box | None:
    """The brain's box in voxels of `shape`, from a coarse mask of the same head; None where there is no brain.

    Planes count when brain covers more than a fiftieth of them, so that a stray voxel cannot stretch the box.
    """
    kept = keep_largest(coarse.cpu().numpy())
    sides = []
    for axis, length in enumerate(shape):
        others = tuple(n for n in range(3) if n != axis)
        covered = np.flatnonzero(kept.mean(axis=others) > 0.02)
        if not covered.size:
            return None
        scale = length / kept.shape[axis]
        first, end = covered[0] * scale, (covered[-1] + 1) * scale
        sides.append(_grow(first, end, length))
    x, y, z = sides
    return x, y, z


def widen(box: Box, part: Mask, shape: tuple[int, ...]) -> Box:
    """`box`, longer at every side where the brain of `part` (the box's own mask) runs into it."""
    sides = []
    for axis, (side, length) in enumerate(zip(box, shape, strict=True)):
        step = round(0.2 * (side.stop - side.start)) + 1
        low = side.start - step if part.take(0, axis).any() else side.start
        high = side.stop + step if part.take(-1, axis).any() else side.stop
        sides.append(slice(max(0, low), min(length, high)))
    x, y, z = sides
    return x, y, z


def _look(outline: Network, whole: Tensor, box: Box, window: Window) -> tuple[Tensor, Mask]:
    """The probability of brain within `box`, and its largest part; of the box's own shape."""
    chance = _spread(_ask(outline, _squeeze(whole[box], FINE), window), whole[box].shape)
    return chance, keep_largest((chance > 0.5).cpu().numpy())


def _grow(first: float, end: float, length: int) -> slice:
    margin = MARGIN * (end - first)
    return slice(max(0, round(first - margin)), min(length, round(end + margin)))


def _ask(network: Network, head: Tensor, window: Window) -> Tensor:
    """The network's probability of brain, of the shape of `head`."""
    return network(window.standardize(head)[None, None])[0, 1]


def _squeeze(head: Tensor, size: tuple[int, int, int]) -> Tensor:
    return functional.interpolate(head[None, None], size, mode="nearest-exact")[0, 0]


def _spread(chance: Tensor, size: torch.Size) -> Tensor:
    """A probability on a finer grid, linear between voxels: a smooth outline on the source's own pixels."""
    return functional.interpolate(chance[None, None], size, mode="trilinear", align_corners=False)[0, 0]
