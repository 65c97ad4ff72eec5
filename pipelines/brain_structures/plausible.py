"""What a parcellation says against itself: the network finds structures in anything, even in noise."""

import numpy as np
from numpy.typing import NDArray

from pipelines.brain_structures.sides import Labels
from pipelines.brain_structures.structures import CORTEX, LATERAL_VENTRICLE, STRUCTURES, VENTRICLES, WHITE_MATTER
from pipelines.errors import UnsuitableVolume

BRAIN_ML = (500.0, 2000.0)
"""Tissue of a whole brain, the ventricles left out: less is no brain or a part of one, more is no head."""
MOST_ODD = 5
"""More structures than this outside of what is usual, in a brain that is not cut: not a brain."""
DARKER = 0.97
"""In T1 weighting gray matter is at most this bright, of white matter; and fluid of gray matter."""


def check_brain(labels: Labels, cut: tuple[str, ...]) -> None:
    """Raises UnsuitableVolume when `labels` (1 mm) cannot be the structures of a brain. cut: sides that are missing."""
    sizes = count_ml(labels)
    tissue = float(sizes[1:].sum() - sizes[list(VENTRICLES)].sum())
    low, high = BRAIN_ML
    if tissue < low:
        lies = f"; the images end in it ({', '.join(cut)})" if cut else ""
        raise UnsuitableVolume(f"only {tissue:.0f} mL of brain were found{lies}: no whole head in T1 weighting")
    if tissue > high:
        raise UnsuitableVolume(f"{tissue:.0f} mL were taken for brain: no brain is so large, so this is no head in T1")
    odd = find_odd(sizes)
    if not cut and len(odd) > MOST_ODD:
        raise UnsuitableVolume(f"{len(odd)} structures have a volume that no brain has: no head in T1 weighting")


def check_contrast(labels: Labels, image: NDArray[np.float32]) -> None:
    """Raises UnsuitableVolume unless white matter is brighter than gray matter, and that than fluid."""
    white, gray = (float(np.median(image[labels == label])) for label in (WHITE_MATTER, CORTEX))
    fluid = image[labels == LATERAL_VENTRICLE]
    if gray > DARKER * white or (fluid.size >= 1000 and float(np.median(fluid)) > DARKER * gray):
        raise UnsuitableVolume(
            "white matter is not brighter than gray matter, or that not brighter than fluid: no T1 weighting"
        )


def find_odd(sizes: NDArray[np.float64]) -> tuple[str, ...]:
    """Names of the structures whose volume (mL by class, both sides together) is outside of what is usual."""
    return tuple(
        structure.code.meaning
        for structure in STRUCTURES
        if not structure.usual_ml[0] <= sizes[structure.label] <= structure.usual_ml[1]
    )


def count_ml(labels: Labels) -> NDArray[np.float64]:
    """mL of every class of `labels`, voxels of 1 mm, by class."""
    return np.bincount(labels.ravel(), minlength=len(STRUCTURES) + 1) / 1000.0
