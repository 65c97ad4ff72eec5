"""Ways in which a scan could have come otherwise: whole, a thin slab of it, a small field of view, thick or noisy."""

from collections.abc import Iterator

import numpy as np

from pipelines.steps.project import crop_grid
from pipelines.steps.resample import Grid
from pipelines.terms import Mask, Volume

SLABS_MM = (20.0, 40.0, 80.0)
HEIGHTS = (0.1, 0.35, 0.6, 0.85)
"""Middle of a slab, as a share of the scan from its lowest plane."""


def make_views(volume: Volume, truth: Mask) -> Iterator[tuple[str, Volume, Mask]]:
    """(name, volume, lungs) of each view; planes of `volume` lie along k."""
    yield "whole", volume, truth
    planes, rows, columns = volume.shape
    between = volume.spacing[0]
    for length in SLABS_MM:
        count = round(length / between)
        for height in HEIGHTS:
            first = int(np.clip(round(height * planes - count / 2), 0, max(0, planes - count)))
            if count < planes:
                view = _cut(volume, truth, (slice(first, first + count), slice(0, rows), slice(0, columns)))
                yield f"slab {length:.0f} mm at {height:.0%}", *view
    for name, (low, high) in {"right half": (0.05, 0.5), "middle": (0.25, 0.75), "left half": (0.5, 0.95)}.items():
        part = slice(int(low * columns), int(high * columns))
        yield f"field of view: {name}", *_cut(volume, truth, (slice(0, planes), slice(rows // 5, 4 * rows // 5), part))
    noise = np.random.default_rng(0).normal(0.0, 120.0, volume.shape).astype(np.float32)
    yield "noise of 120 HU", _replace(volume, volume.voxels + noise), truth
    thick = max(2, round(8.0 / between))
    kept = planes // thick * thick
    coarse = volume.voxels[:kept].reshape(-1, thick, rows, columns).mean(axis=1)
    affine = volume.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (thick - 1) / 2
    affine[:3, 0] *= thick
    truth_there = truth[:kept].reshape(-1, thick, rows, columns).mean(axis=1) > 0.5
    name = f"slices of {between * thick:.0f} mm"
    yield name, Volume(coarse, affine, volume.frame_of_reference_uid, volume.modality), truth_there


def _cut(volume: Volume, truth: Mask, box: tuple[slice, slice, slice]) -> tuple[Volume, Mask]:
    part = crop_grid(Grid(volume.shape, volume.affine), box)
    voxels = np.ascontiguousarray(volume.voxels[box])
    return Volume(voxels, part.affine, volume.frame_of_reference_uid, volume.modality), truth[box]


def _replace(volume: Volume, voxels: np.ndarray) -> Volume:
    return Volume(voxels, volume.affine, volume.frame_of_reference_uid, volume.modality)
