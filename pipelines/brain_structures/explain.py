"""How steadily the structures are told: the head at 1 mm mirrored and moved, classified and cleaned anew."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipelines.brain_structures.chain import clean, find_box
from pipelines.brain_structures.conform import Head
from pipelines.brain_structures.findings import list_parts
from pipelines.brain_structures.network import MeshNet, decide_voxels
from pipelines.brain_structures.sides import Labels, Midplane, find_midplane, tell_sides
from pipelines.explanation.augment import answer_changed, make_changes
from pipelines.explanation.spread import find_entropy
from pipelines.steps.project import crop_grid
from pipelines.terms import Affine

CHANGES = make_changes(flip=(0,), shifts=((0, 0, 0), (3, 3, 3), (6, 2, 4)))
"""Mirrored along k, left for right: the network does not tell the sides. The first is no change."""


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """entropy: bits, (k, j, i) at `affine`, of the mean probability of any structure. volumes: mL of each part by its
    key, reading by reading."""

    entropy: Tensor
    affine: Affine
    volumes: dict[str, list[float]]


def vary(head: Head, network: MeshNet, tell: Callable[[float], None]) -> Spread:
    """The spread of the answers to `head` after CHANGES; one reading is held at a time. The plane between the sides is
    that of the first, since the patient has one alone. Raises UnsuitableVolume where there is none."""
    box = find_box(head.image.cpu().numpy())
    image = head.image[box].contiguous()
    total, sizes, plane = torch.zeros(image.shape), [], None

    def read(changed: Tensor) -> Tensor:
        return decide_voxels(network, changed.contiguous(), lambda _: None, decide_both).cpu()

    for number, (classes, chance) in enumerate(answer_changed(read, image, CHANGES), 1):
        total += chance
        labels = np.zeros(head.image.shape, dtype=np.uint8)
        labels[box] = classes.numpy()
        labels = clean(labels)
        plane = plane or find_midplane(labels)
        sizes.append(_count(labels, plane))
        tell(number / len(CHANGES))
    volumes = {part.key: [size[part.value] for size in sizes] for part in list_parts()}
    return Spread(find_entropy(total / len(CHANGES)), crop_grid(head.grid, box).affine, volumes)


def _count(labels: Labels, plane: Midplane) -> list[float]:
    """mL by number in the labels, on either side."""
    return [float(size) / 1000.0 for size in np.bincount(tell_sides(labels, plane).ravel(), minlength=256)]


def decide_both(logits: Tensor) -> Tensor:
    """Of logits (class, d, h, w) the likeliest class and the probability that it is any but 0: float32 (2, d, h, w)."""
    return torch.stack([logits.argmax(dim=0).float(), 1.0 - logits.softmax(dim=0)[0]])
