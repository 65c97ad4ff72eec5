"""The outline of a blob in lung: what is denser than half way from lung to its middle, as far as it is compact."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.terms import Mask

REACH_MM = 20.0
"""Half the side of the cube that is looked at: greater things are no nodules (more than 30 mm is called a mass)."""
CORE_MM = 1.6
TISSUE_HU = 60.0
LUNG_HU = (-950.0, -700.0)
COMPACT = 0.4
"""Where less than this share of a shell around the middle is dense, vessels go on and the nodule has ended."""

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """box: part of the volume, (k, j, i); mask: bool, of its shape, at least one voxel. center: middle of mass, index
    (k, j, i) of the volume. diameter_mm: of the circle with the area of `mask` in the plane of its middle."""

    box: Box
    mask: Mask
    center: tuple[float, float, float]
    diameter_mm: float


def grow(
    voxels: NDArray[np.float32], spacing: tuple[float, float, float], index: tuple[float, float, float]
) -> Grown | None:
    """What lies around `index` (k, j, i) of `voxels`, HU of planes `spacing` mm apart; None where nothing is denser
    than lung."""
    first = _grow_once(voxels, spacing, index)
    if first is None:
        return None
    return _grow_once(voxels, spacing, first.center) or first


def _grow_once(
    voxels: NDArray[np.float32], spacing: tuple[float, float, float], index: tuple[float, float, float]
) -> Grown | None:
    box = _cut(voxels.shape, spacing, index)
    hu = voxels[box]
    away = _measure_distance(hu.shape, box, spacing, index)
    core = away <= max(CORE_MM, float(away.min()))
    dense = float(np.median(np.minimum(hu[core], TISSUE_HU)))
    lung = float(np.clip(np.percentile(hu[away <= REACH_MM], 20), *LUNG_HU))
    if dense - lung < 100.0:
        return None
    labels, _ = ndimage.label(hu > (dense + lung) / 2)
    names = np.unique(labels[core & (labels > 0)])
    if not names.size:
        return None
    region = np.isin(labels, names)
    mask = region & (away <= _find_end(region, away, max(spacing)))
    if not mask.any():
        return None
    disc = measure_disc(mask, spacing)
    k, j, i = (value + side.start for value, side in zip(disc.center, box, strict=True))
    return Grown(box, mask, (k, j, i), disc.diameter_mm)


@dataclass(frozen=True, slots=True)
class Disc:
    """center: middle of mass, index (k, j, i). diameter_mm: of the circle with the area of the plane of the middle."""

    center: tuple[float, float, float]
    diameter_mm: float


def measure_disc(mask: Mask, spacing: tuple[float, float, float]) -> Disc:
    """Middle and diameter of `mask`, bool (k, j, i) with at least one voxel; spacing: mm."""
    k, j, i = (float(np.mean(places)) for places in np.nonzero(mask))
    plane = mask[round(k)] if mask[round(k)].any() else mask.any(axis=0)
    area = float(np.count_nonzero(plane)) * spacing[1] * spacing[2]
    return Disc((k, j, i), float(2.0 * np.sqrt(area / np.pi)))


def _cut(shape: tuple[int, ...], spacing: tuple[float, float, float], index: tuple[float, float, float]) -> Box:
    k, j, i = (
        slice(max(0, int(at - REACH_MM / mm)), min(size, int(at + REACH_MM / mm) + 2))
        for size, mm, at in zip(shape, spacing, index, strict=True)
    )
    return k, j, i


def _measure_distance(
    shape: tuple[int, ...], box: Box, spacing: tuple[float, float, float], index: tuple[float, float, float]
) -> NDArray[np.float64]:
    """Of each voxel of the box from `index`, in mm."""
    squares = [
        ((np.arange(size) + side.start - at) * mm) ** 2
        for size, side, mm, at in zip(shape, box, spacing, index, strict=True)
    ]
    return np.asarray(np.sqrt(squares[0][:, None, None] + squares[1][None, :, None] + squares[2][None, None, :]))


def _find_end(region: Mask, away: NDArray[np.float64], coarse_mm: float) -> float:
    """The radius in mm beyond which `region` is no longer compact; shells are 1 mm thick."""
    shells = np.minimum(away, REACH_MM).astype(int)
    everything = np.bincount(shells.ravel())
    inside = np.bincount(shells.ravel(), weights=region.ravel())
    start = max(1, int(coarse_mm / 2))
    loose = np.flatnonzero(inside[start:] < COMPACT * np.maximum(everything[start:], 1))
    return float(loose[0] + start) + 0.5 if loose.size else REACH_MM
