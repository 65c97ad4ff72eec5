"""From one voxel grid to another by their affines: oblique, left-handed and anisotropic grids come out right.

Arrays are (k, j, i); an affine maps (k, j, i, 1) to (x, y, z, 1) in mm (LPS). Values are linear between voxel
centers, and a voxel reaches half its spacing beyond its center: what lies farther out takes the fill value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pipelines.terms import Affine

SLAB_POINTS = 8_000_000
"""Points sampled at once: about 0.3 GB of coordinates and samples, whatever the size of the grid."""


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """A place for voxels: shape (k, j, i) and the affine of the module's docstring."""

    shape: tuple[int, int, int]
    affine: Affine


def make_aligned_grid(shape: tuple[int, int, int], affine: Affine, spacing_mm: float) -> Grid:
    """The isotropic grid that covers the volume (`shape`, `affine`) to its outer voxel faces, with k, j, i running
    along +z, +y, +x (LPS). It depends on the space covered alone: a reversed or re-sliced volume gets the same grid."""
    corners = np.array([(*corner, 1.0) for corner in product(*((-0.5, n - 0.5) for n in shape))])
    places = (corners @ affine.T)[:, :3]
    low, high = places.min(axis=0), places.max(axis=0)
    counts = np.maximum(1, np.ceil((high - low) / spacing_mm - 1e-3)).astype(int)
    first = (low + high) / 2 - (counts - 1) / 2 * spacing_mm
    aligned = np.eye(4)
    aligned[:3, :3] = np.fliplr(np.eye(3)) * spacing_mm
    aligned[:3, 3] = first
    x, y, z = (int(n) for n in counts)
    return Grid((z, y, x), aligned)


def resample(
    voxels: Tensor, affine: Affine, grid: Grid, fill: float = 0.0, antialias: bool = True, device: str = "cpu"
) -> Tensor:
    """`voxels` (k, j, i; float, any device) linearly interpolated on `grid`: float32, shape grid.shape, on `device`.

    fill: value outside the source; pass `nan` to learn where that is.
    antialias: average source voxels first along axes where the grid is at least twice as coarse.
    """
    slabs = [part for _, part in resample_slabs(voxels, affine, grid, fill, antialias, device)]
    return torch.cat(slabs)


def resample_slabs(
    voxels: Tensor, affine: Affine, grid: Grid, fill: float = 0.0, antialias: bool = True, device: str = "cpu"
) -> Iterator[tuple[slice, Tensor]]:
    """As `resample`, but slab by slab: (planes of the grid, their values). Memory does not grow with the grid."""
    source, source_affine = _shrink(voxels, affine, grid, device) if antialias else (voxels, affine)
    source = source.to(device=device, dtype=torch.float32)
    step = max(1, SLAB_POINTS // (grid.shape[1] * grid.shape[2]))
    to_source = np.linalg.inv(source_affine) @ grid.affine
    for start in range(0, grid.shape[0], step):
        planes = slice(start, min(start + step, grid.shape[0]))
        yield planes, _sample(source, to_source, planes, grid.shape, fill)


def _sample(source: Tensor, to_source: Affine, planes: slice, shape: tuple[int, int, int], fill: float) -> Tensor:
    """Values of `source` at the grid's planes; `to_source` maps grid indices to source indices."""
    where = _normalized_coordinates(source, to_source, planes, shape)
    # An epsilon, because a point on the outer face of a voxel belongs to it whatever the rounding.
    inside = (where.abs() <= 1.0 + 1e-4).all(dim=-1)
    values = functional.grid_sample(
        source[None, None], where[None], mode="bilinear", padding_mode="border", align_corners=False
    )[0, 0]
    return torch.where(inside, values, torch.full_like(values, fill))


def _normalized_coordinates(source: Tensor, to_source: Affine, planes: slice, shape: tuple[int, int, int]) -> Tensor:
    """Where each point of the planes lies in `source`, in grid_sample's terms: (x, y, z) = (i, j, k), -1 and 1 on
    the outer faces."""
    size = np.array(source.shape, dtype=np.float64)
    matrix = 2.0 / size[:, None] * to_source[:3, :3]
    offset = (2.0 * to_source[:3, 3] + 1.0) / size - 1.0
    terms = []
    for axis, (first, end) in enumerate([(planes.start, planes.stop), (0, shape[1]), (0, shape[2])]):
        index = torch.arange(first, end, dtype=torch.float64)[:, None]
        term = index * torch.from_numpy(matrix[:, axis])[None, :]
        terms.append(term.flip(-1).to(device=source.device, dtype=torch.float32))
    start = torch.from_numpy(offset[::-1].copy()).to(device=source.device, dtype=torch.float32)
    return terms[0][:, None, None] + terms[1][None, :, None] + (terms[2] + start)[None, None]


def _shrink(voxels: Tensor, affine: Affine, grid: Grid, device: str) -> tuple[Tensor, Affine]:
    """The source averaged over whole blocks of voxels so that it is nearly as coarse as the grid, and its affine."""
    factors = _block_sizes(affine, grid)
    if factors == (1, 1, 1):
        return voxels, affine
    step = factors[0] * max(1, SLAB_POINTS // (factors[0] * voxels.shape[1] * voxels.shape[2]))
    parts = [_average(voxels[k : k + step].to(device), factors) for k in range(0, voxels.shape[0], step)]
    shrunk = affine.copy()
    shrunk[:3, :3] *= factors
    shrunk[:3, 3] += affine[:3, :3] @ ((np.array(factors) - 1) / 2)
    return torch.cat(parts), shrunk


def _block_sizes(affine: Affine, grid: Grid) -> tuple[int, int, int]:
    """How many source voxels fit, along each source axis, into one voxel of the grid."""
    source_mm = np.linalg.norm(affine[:3, :3], axis=0)
    grid_mm = np.linalg.norm(grid.affine[:3, :3], axis=0)
    cosines = np.abs((affine[:3, :3] / source_mm).T @ (grid.affine[:3, :3] / grid_mm))
    along = grid_mm[cosines.argmax(axis=1)]
    k, j, i = (max(1, int(n)) for n in np.floor(along / source_mm + 1e-3))
    return k, j, i


def _average(part: Tensor, factors: tuple[int, int, int]) -> Tensor:
    """Means over blocks; a last, incomplete block is completed by repeating the last voxel."""
    missing = [-n % f for n, f in zip(part.shape, factors, strict=True)]
    pad = (0, missing[2], 0, missing[1], 0, missing[0])
    part = part.to(torch.float32)[None, None]
    if any(pad):
        part = functional.pad(part, pad, mode="replicate")
    return functional.avg_pool3d(part, factors)[0, 0]
