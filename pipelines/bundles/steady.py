"""How steady a segmenting bundle's answer is: the same images, moved and a little brighter, read and decided again; or
as they are, by each set of its weights.

They are not mirrored: to most bundles a liver on the left, or a left kidney on the right, is another question. Of each
reading two numbers a voxel are kept, whatever the number of classes: what it decides, and how probable it is that
anything is there.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.bundles.ways import MOVES, THINNEST
from pipelines.bundles.windows import Decide
from pipelines.explanation.augment import Change, answer_changed
from pipelines.explanation.spread import find_entropy

FULL = 32767
"""A probability of 1, as int16."""


def list_changes(size: Sequence[int]) -> tuple[Change, ...]:
    """MOVES for an image of `size`: along no axis by more than an eighth of it."""
    return tuple(
        Change(tuple(min(step, n // THINNEST) for step, n in zip(steps, size, strict=False)), gain=gain)
        for steps, gain in MOVES
    )


def decide_both(decide: Decide, find_chance: Decide) -> Decide:
    """What `decide` says of means (class, *space), and after it a last channel: find_chance(means) (*space), as a share
    of FULL; int16."""

    def both(means: Tensor) -> Tensor:
        chance = find_chance(means).nan_to_num().clamp(0.0, 1.0)
        return torch.cat([decide(means).to(torch.int16), (chance[None] * FULL).round().to(torch.int16)])

    return both


def find_anything(chances: Tensor, channels: Sequence[int], *, overlaps: bool) -> Tensor:
    """How probable it is that a voxel belongs to any of `channels` of `chances` (class, *space): their sum, or where
    classes overlap, as parts of a tumor do, the most probable of them."""
    some = chances[[n for n in channels if n < len(chances)]] if len(chances) > 1 else chances
    return some.amax(dim=0) if overlaps else some.sum(dim=0)


def count_voxels(arrays: Mapping[str, NDArray[Any]], numbers: int) -> NDArray[np.float64]:
    """How many voxels each of the outputs 0 to `numbers` - 1 has: of "labels", or of "masks" (class, k, j, i)."""
    if "labels" in arrays:
        return np.bincount(arrays["labels"].reshape(-1), minlength=numbers)[:numbers].astype(np.float64)
    counts = np.zeros(numbers)
    for number, mask in enumerate(arrays["masks"][:numbers]):
        counts[number] = np.count_nonzero(mask)
    return counts


def read_changed(read: Callable[[Tensor], Tensor], image: Tensor, *, takes_any_size: bool) -> Iterator[Tensor]:
    """read(image) after each of MOVES, laid back on the grid of `image` (channel, *space), one at a time. read: of an
    image as large as `image`, or a little larger where it takes any size, what decide_both says."""
    changes = list_changes(image.shape[1:])
    if takes_any_size:
        return answer_changed(read, image, changes)
    return (change.undo(read(change.apply(image))) for change in changes)


def weigh(
    readings: Iterable[Tensor],
    number: int,
    count: Callable[[Tensor], NDArray[np.float64]],
    tell: Callable[[float], None],
) -> tuple[Tensor, NDArray[np.float64]]:
    """(the entropy, in bits, of the mean probability that anything is there (*space); count(decided) of each reading,
    (class, reading)). readings: `number` of them, as decide_both says them; one is held at a time."""
    total, counts = torch.zeros(()), []
    for done, found in enumerate(readings, 1):
        total = total + found[-1]
        counts.append(count(found[:-1]))
        tell(done / number)
    return find_entropy(total / (FULL * number)), np.stack(counts, axis=1)
