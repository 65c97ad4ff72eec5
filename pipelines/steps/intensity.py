"""Are these Hounsfield units, and which of them were measured at all?"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.errors import UnsuitableVolume
from pipelines.terms import Mask

BEAM = 5
"""Even lines count where so many lie side by side in both directions."""


def check_hounsfield(voxels: NDArray[np.float32]) -> None:
    """Raises UnsuitableVolume when `voxels` cannot be a CT of a patient in HU: not numbers, all equal, no air or fat
    below 0, or nothing but air."""
    low, high = float(voxels.min()), float(voxels.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnsuitableVolume("some voxels are not finite numbers")
    if low == high:
        raise UnsuitableVolume(f"all voxels are {low:g}: there is no image")
    if low >= 0:
        raise UnsuitableVolume(f"no voxel is below 0 (the least is {low:g}): these are not Hounsfield units")
    if high <= -500:
        raise UnsuitableVolume(f"no voxel is above -500 HU (the greatest is {high:g}): there is nothing but air")


def hide_padding(voxels: NDArray[np.float32], floor: float) -> NDArray[np.float32]:
    """`voxels` with NaN where the scanner measured nothing; the same array when that is nowhere, else a copy.

    That is below `floor`, and along every row, column or line of planes that holds the least value and nothing else:
    the corners outside the scanner's circle, written as air. Beams of air so even are hidden too, which harms none;
    single lines are not, for in a stack of few planes clipped noise makes many.
    """
    lowest = float(voxels.min())
    even = [_keep_beams(voxels.max(axis=axis, keepdims=True) == lowest) for axis in range(3)]
    if lowest >= floor and not any(lines.any() for lines in even):
        return voxels
    hidden = voxels.copy()
    for k, plane in enumerate(hidden):
        plane[(plane < floor) | even[0][0] | even[1][k] | even[2][k]] = np.nan
    return hidden


def _keep_beams(lines: Mask) -> Mask:
    """`lines` without what is thinner than BEAM in a direction that has as many; the border does not thin."""
    beam = np.ones([min(BEAM, size) for size in lines.shape], dtype=bool)
    margin = [(size // 2, size // 2) for size in beam.shape]
    inside = tuple(slice(before, before + size) for (before, _), size in zip(margin, lines.shape, strict=True))
    return np.asarray(ndimage.binary_opening(np.pad(lines, margin, mode="edge"), beam)[inside])
