"""Are these Hounsfield units, and which of them were measured at all?"""

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import UnsuitableVolume


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
    """`voxels` with NaN where they are below `floor`: there the scanner measured nothing. The same array when no voxel
    is, else a copy."""
    if float(voxels.min()) >= floor:
        return voxels
    hidden = voxels.copy()
    for plane in hidden:
        plane[plane < floor] = np.nan
    return hidden
