"""How steadily the brain is outlined: the head mirrored and moved, found and outlined anew."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.brain_extract.chain import Outline
from pipelines.explanation.augment import answer_changed, make_changes
from pipelines.explanation.spread import find_entropy

CHANGES = make_changes(flip=(0,), shifts=((0, 0, 0), (3, 3, 3), (6, 2, 4)))
"""Mirrored along x, right for left: a brain is nearly its own mirror image. The first is no change."""


def vary(
    head: NDArray[np.float32], ask: Callable[[NDArray[np.float32]], Outline], tell: Callable[[float], None]
) -> tuple[NDArray[np.float32], list[int]]:
    """(the entropy, in bits, of the mean probability of brain after CHANGES, (x, y, z) as `head`; voxels of the brain
    in each reading). One reading is held at a time; each finds its own box."""

    def read(changed: Tensor) -> Tensor:
        found = ask(changed.numpy())
        both = torch.zeros(2, *changed.shape)
        both[0] = torch.from_numpy(found.mask)
        both[1][found.box] = found.chance.float().cpu()
        return both

    total, voxels = torch.zeros(head.shape), []
    image = torch.from_numpy(np.ascontiguousarray(head))
    for number, (mask, chance) in enumerate(answer_changed(read, image, CHANGES), 1):
        total += chance
        voxels.append(int(torch.count_nonzero(mask)))
        tell(number / len(CHANGES))
    return find_entropy(total / len(CHANGES)).numpy(), voxels
