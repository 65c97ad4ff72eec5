"""The head as the network knows heads: 256 voxels cubed of 1 mm, upright, gray values 0 to 1."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.errors import UnsuitableVolume
from pipelines.steps.resample import Grid, make_aligned_grid, resample
from pipelines.terms import Mask, Volume

SIZE = 256
DIRECTIONS = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, -1.0, 0.0]])
"""Columns are the axes k, j, i in LPS: to the left, down, to the front; FreeSurfer calls it LIA."""
DARK, BRIGHT = 0.02, 0.98
"""Quantiles of the whole cube, the empty space around the head included, that become 0 and 1."""
ROOM_MM = 12.0
"""Above the head, where the images are so long that the cube cannot hold them."""


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """image: float32 0..1, shape (SIZE, SIZE, SIZE), on the device asked for. known: where there was an image."""

    image: Tensor
    known: Mask
    grid: Grid


def conform(volume: Volume, device: str) -> Head:
    """`volume` in the network's cube. Raises UnsuitableVolume when there is too little in it to tell dark from
    bright."""
    corner = place_cube(volume, device) - DIRECTIONS.sum(axis=1) * (SIZE - 1) / 2
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = DIRECTIONS, corner
    grid = Grid((SIZE, SIZE, SIZE), affine)
    voxels = torch.from_numpy(np.ascontiguousarray(volume.voxels))
    seen = resample(voxels, volume.affine, grid, fill=torch.nan, device=device)
    known = seen.isfinite()
    filled = torch.where(known, seen, float(volume.voxels.min()))
    low, high = find_window(filled)
    if not high > low:
        raise UnsuitableVolume("nearly all of the images has one value: there is no head in them")
    return Head(((filled - low) / (high - low)).clamp(0.0, 1.0), known.cpu().numpy(), grid)


def place_cube(volume: Volume, device: str) -> NDArray[np.float64]:
    """The cube's center in mm (LPS): that of the images. Where they are longer than the cube from head to foot, as with
    the neck in view, the cube ends ROOM_MM above the head."""
    grid = make_aligned_grid(volume.shape, volume.affine, 4.0)
    center = (grid.affine @ [*((n - 1) / 2 for n in grid.shape), 1.0])[:3]
    if grid.shape[0] * 4.0 <= SIZE + 4.0:
        return np.asarray(center)
    coarse = resample(torch.from_numpy(volume.voxels), volume.affine, grid, float(volume.voxels.min()), device=device)
    low, high = find_window(coarse)
    filled = (coarse > low + 0.2 * (high - low)).float().mean(dim=(1, 2)).cpu().numpy()
    tissue = np.flatnonzero(filled > 0.02)
    if tissue.size:
        top = grid.affine[2, 3] + 4.0 * tissue[-1] + ROOM_MM
        center[2] = max(top - SIZE / 2, grid.affine[2, 3] + SIZE / 2)
    return np.asarray(center)


def find_window(image: Tensor) -> tuple[float, float]:
    """The values that become 0 and 1."""
    values = image.cpu().numpy().ravel()
    places = [round(share * (values.size - 1)) for share in (DARK, BRIGHT)]
    low, high = np.partition(values, places)[places]
    return float(low), float(high)
