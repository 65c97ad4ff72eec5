"""Occlusion (Zeiler and Fergus 2014): how much the score drops when a place is hidden.

MONAI's OcclusionSensitivity steps by voxels, which in a volume means thousands of windows, and gives the score that is
left. Here a place is a cell of a coarse grid with at most MOST_CELLS of them, so that the time is known beforehand.
"""

import math
from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

from pipelines.explanation.scale import enlarge
from pipelines.explanation.score import Score

MOST_CELLS = 196
BATCH = 8


def pick_counts(size: tuple[int, ...], most: int = MOST_CELLS) -> tuple[int, ...]:
    """How many cells along each axis: nearly cubes (squares), together at most `most`, each of a voxel at least."""
    cell = max(1.0, (math.prod(size) / most) ** (1 / len(size)))
    while math.prod(counts := tuple(max(1, int(n / cell)) for n in size)) > most:
        cell *= 1.02
    return counts


@torch.no_grad()
def occlude(
    score: Score,
    image: Tensor,
    fill: Tensor,
    most: int = MOST_CELLS,
    place: Sequence[slice] = (),
    batch: int = BATCH,
    wider: float = 0.0,
) -> Tensor:
    """score(image) less the score with each cell of `image` as in `fill`, in the unit of the score: float32 (*space),
    linear between the cells' centers; negative where hiding raises it.

    fill: what hides, of the shape of `image` (find_mean). place: the part of space that is hidden, cell by cell, and
    whose drops are given; else all of it. wider: by so much of a cell's length more is hidden at both ends. Asks the
    network at most 1 + `most` times, `batch` at once.
    """
    place = tuple(place) or tuple(slice(0, n) for n in image.shape[2:])
    size = tuple(one.stop - one.start for one in place)
    counts = pick_counts(size, most)
    cells = list(
        product(
            *([_cut(one, count, at, wider) for at in range(count)] for one, count in zip(place, counts, strict=True))
        )
    )
    whole = float(score(image)[0])
    drops: list[float] = []
    for first in range(0, len(cells), batch):
        some = cells[first : first + batch]
        hidden = image.repeat(len(some), *[1] * (image.ndim - 1))
        for one, cell in zip(hidden, some, strict=True):
            one[(slice(None), *cell)] = fill[0][(slice(None), *cell)]
        drops += [whole - float(left) for left in score(hidden)]
    return enlarge(torch.tensor(drops).reshape(counts), size)


def find_mean(image: Tensor) -> Tensor:
    """The mean of each channel of `image` everywhere: what hides without an edge of another world."""
    return image.mean(dim=tuple(range(2, image.ndim)), keepdim=True).expand_as(image)


def _cut(place: slice, count: int, at: int, wider: float) -> slice:
    """The part `at` of `count` nearly equal ones of `place`, and `wider` of its length more at both ends."""
    length = place.stop - place.start
    more = round(wider * length / count)
    first, end = (place.start + length * n // count for n in (at, at + 1))
    return slice(max(first - more, place.start), min(end + more, place.stop))
