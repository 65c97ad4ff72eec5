"""Where in the lungs a nodule might be, and what the network is shown of each place."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.steps.blobs import find_blobs
from pipelines.steps.grow import Grown, grow
from pipelines.steps.morphology import close_ball
from pipelines.steps.project import crop_grid
from pipelines.steps.resample import Grid, make_aligned_grid, resample
from pipelines.steps.three_planes import show_nodule
from pipelines.terms import Affine, Mask, Volume

GRID_MM = 1.25
COARSE_MM = 2.5
MARGIN_MM = 5.0
LUNG_HU = -850.0
TOP_HU = 0.0
CLOSE_MM = 14.0
"""How deep a nodule at the pleura may dent the outline of the lung and still be looked for."""
LEAST_HU = 75.0
"""Answer of a blob filter below which nothing is looked at; a ball of soft tissue as large as the filter gives 400."""
MOST = 600
"""Blobs of one scan that are looked at: vessels in contrast are stronger than small nodules."""
SMALLEST_MM, LARGEST_MM = 3.0, 33.0
INSIDE = 0.6
"""Least share of an outline within the closed lungs: what has run into heart, hilum or chest wall has less."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """grown: its outline in the source. planes: what the network is shown, HU (3, side, side)."""

    grown: Grown
    planes: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Where is looked: lungs closed over what dents them, bool on `grid`; hu: what is shown to the blob filter."""

    grid: Grid
    inside: Mask
    hu: NDArray[np.float32]


def find_candidates(volume: Volume, lungs: Mask, device: str = "cpu", most: int = MOST) -> list[Candidate]:
    """Places in `volume` (CT in HU) that are denser than lung and compact, the most striking first. lungs: bool, on its
    grid; most: blobs that are looked at."""
    if not lungs.any():
        return []
    field = make_field(volume, lungs, device)
    found: list[Candidate] = []
    for place in find_places(volume, field, most):
        grown = grow(volume.voxels, volume.spacing, place)
        if grown is None or not SMALLEST_MM <= grown.diameter_mm <= LARGEST_MM:
            continue
        if _is_near(grown, found, volume.spacing) or _get_share_inside(grown, volume, field) < INSIDE:
            continue
        planes = show_nodule(volume.voxels, volume.spacing, grown.center, grown.diameter_mm)
        found.append(Candidate(grown, planes))
    return found


def make_field(volume: Volume, lungs: Mask, device: str = "cpu") -> Field:
    """Both lungs of `volume` on the grid of the search; `lungs` has a voxel."""
    grid = _cover(volume, lungs)
    coarse = make_aligned_grid(grid.shape, grid.affine, COARSE_MM)
    seen = resample(torch.from_numpy(lungs.astype(np.uint8)).float(), volume.affine, coarse, device=device)
    closed = _close(np.asarray((seen > 0.5).cpu().numpy()))
    inside = resample(torch.from_numpy(closed).float(), coarse.affine, grid, device=device) > 0.5
    hu = resample(torch.from_numpy(volume.voxels), volume.affine, grid, fill=LUNG_HU, device=device)
    shown = torch.where(inside, hu.clamp(-1000.0, TOP_HU), LUNG_HU)
    return Field(grid, inside.cpu().numpy(), shown.cpu().numpy())


def _close(lungs: Mask) -> Mask:
    """`lungs`, voxels of COARSE_MM, with what dents them. Beyond the array are none: else its edge would be lung."""
    room = int(np.ceil(CLOSE_MM / COARSE_MM)) + 1
    closed = close_ball(np.pad(lungs, room), CLOSE_MM, COARSE_MM)
    return np.asarray(closed[(slice(room, -room),) * 3])


def find_places(volume: Volume, field: Field, most: int) -> list[tuple[float, float, float]]:
    """Index (k, j, i) of the volume of the `most` strongest blobs in `field`, the strongest first."""
    blobs = find_blobs(field.hu, field.inside, GRID_MM, LEAST_HU, most)
    to_source = np.linalg.inv(volume.affine) @ field.grid.affine
    return [_to_index(to_source, blob.index) for blob in blobs]


def _is_near(grown: Grown, found: list[Candidate], spacing: tuple[float, float, float]) -> bool:
    """True when it is one of those found, come upon from another blob."""
    at = np.array(grown.center)
    least = max(3.0, grown.diameter_mm / 2)
    return any(float(np.linalg.norm((at - other.grown.center) * spacing)) < least for other in found)


def _get_share_inside(grown: Grown, volume: Volume, field: Field) -> float:
    """Share of its voxels within the lungs: of heart, hilum and chest wall it is small."""
    index = np.argwhere(grown.mask) + [side.start for side in grown.box]
    to_grid = np.linalg.inv(field.grid.affine) @ volume.affine
    places = np.rint(np.c_[index, np.ones(len(index))] @ to_grid.T)[:, :3].astype(int)
    within = ((places >= 0) & (places < field.grid.shape)).all(axis=1)
    k, j, i = places[within].T
    return float(np.count_nonzero(field.inside[k, j, i])) / len(index)


def _cover(volume: Volume, lungs: Mask) -> Grid:
    """The aligned grid of GRID_MM around the lungs."""
    box = []
    for axis in range(3):
        seen = np.flatnonzero(lungs.any(axis=tuple({0, 1, 2} - {axis})))
        margin = int(np.ceil(MARGIN_MM / volume.spacing[axis]))
        box.append(slice(max(0, int(seen[0]) - margin), min(lungs.shape[axis], int(seen[-1]) + 1 + margin)))
    part = crop_grid(Grid(volume.shape, volume.affine), (box[0], box[1], box[2]))
    return make_aligned_grid(part.shape, part.affine, GRID_MM)


def _to_index(matrix: Affine, index: tuple[int, int, int]) -> tuple[float, float, float]:
    k, j, i = (float(value) for value in (matrix @ (*index, 1.0))[:3])
    return k, j, i
