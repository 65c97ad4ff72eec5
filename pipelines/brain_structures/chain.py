"""From a head to the classes of its voxels: conform, classify, clean, tell the sides."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.brain_structures.conform import Head, conform
from pipelines.brain_structures.network import DILATIONS, MeshNet, find_classes
from pipelines.brain_structures.plausible import check_brain, check_contrast
from pipelines.brain_structures.sides import Labels, find_midplane, tell_sides
from pipelines.brain_structures.structures import STRUCTURES
from pipelines.pipeline import Progress
from pipelines.steps.components import keep_largest, label_components
from pipelines.steps.edges import find_cut_sides
from pipelines.terms import Volume

SPECK = 0.1
"""A part with less than this share of its structure's largest part goes to the structure beside it."""
FOREGROUND = 0.05
MARGIN = 4
"""Voxels of empty space around the head that the network still sees: twenty more change 0.3 % of the brain's voxels."""


@dataclass(frozen=True, slots=True, eq=False)
class Parcellation:
    """labels: classes on the cube of `head`, plus sides.LEFT on the left. cut: where the images end in brain."""

    head: Head
    labels: Labels
    cut: tuple[str, ...]


def parcellate(volume: Volume, network: MeshNet, device: str, progress: Progress) -> Parcellation:
    """The structures in `volume`. Raises UnsuitableVolume where they are not those of a brain in T1 weighting."""
    progress(0.0, "conform")
    head = conform(volume, device)
    classes = classify(head, network, progress)
    progress(0.8, "clean")
    labels = clean(classes)
    cut = find_cuts(labels, head)
    check_brain(labels, cut)
    check_contrast(labels, head.image.cpu().numpy())
    progress(0.85, "tell the sides")
    return Parcellation(head, tell_sides(labels, find_midplane(labels)), cut)


def classify(head: Head, network: MeshNet, progress: Progress) -> Labels:
    """The network's class of every voxel of the cube; 0 outside of the box around the head, which saves
    nearly half."""
    box = find_box(head.image.cpu().numpy())
    image = head.image[box].contiguous()

    def done(layers: int) -> None:
        progress(0.05 + 0.75 * layers / len(DILATIONS), "segment")

    classes = np.zeros(head.image.shape, dtype=np.uint8)
    classes[box] = find_classes(network, image, done).cpu().numpy()
    return classes


def find_box(image: NDArray[np.float32]) -> tuple[slice, slice, slice]:
    """Where `image` is brighter than the dark around a head, and MARGIN more."""
    bright = ndimage.binary_opening(image > FOREGROUND, iterations=2)
    sides = []
    for axis, length in enumerate(image.shape):
        seen = np.flatnonzero(bright.any(axis=tuple({0, 1, 2} - {axis})))
        first, end = (int(seen[0]), int(seen[-1]) + 1) if seen.size else (0, length)
        sides.append(slice(max(0, first - MARGIN), min(length, end + MARGIN)))
    k, j, i = sides
    return k, j, i


def clean(classes: Labels) -> Labels:
    """`classes` of the largest connected brain alone, its specks given to what is next to them."""
    brain = keep_largest(classes > 0)
    labels = np.where(brain, classes, 0).astype(np.uint8)
    specks = np.zeros(labels.shape, dtype=bool)
    for structure, box in zip(STRUCTURES, ndimage.find_objects(labels, len(STRUCTURES)), strict=True):
        if box is not None:
            parts, sizes = label_components(labels[box] == structure.label)
            specks[box] |= (sizes < SPECK * sizes.max())[parts] & (parts > 0)
    for box in ndimage.find_objects(brain.astype(np.uint8)) if specks.any() else ():
        kept = brain[box] & ~specks[box]
        nearest = ndimage.distance_transform_edt(~kept, return_distances=False, return_indices=True)
        labels[box] = np.where(specks[box], labels[box][tuple(nearest)], labels[box])
    return labels


def find_cuts(labels: Labels, head: Head) -> tuple[str, ...]:
    """The sides of the patient on which the images end in brain."""
    brain, known = ((n > 0).transpose(1, 2, 0)[::-1, ::-1] for n in (labels, head.known))
    return find_cut_sides(brain, known, 1.0)
