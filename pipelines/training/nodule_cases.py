"""Pictures of nodules and of what is none: `python -m pipelines.training.nodule_cases --lidc DIR --scans CACHE --out
pictures.npz [--lesions lesions.json]`.

Nodules are those of LIDC-IDRI. What is none comes from both sources: candidates of whole scans (CACHE, from `python -m
workers.training_data lung-seg`), and dense things beside the nodule in the LIDC cut-outs. All are laid on the network's
pictures in the same way, and all are cut at random as the LIDC cut-outs are, so that neither the edge of a cut-out nor
the scanner tells a nodule. lesions.json: {scan: [{"center_mm": [x, y, z], "radius_mm": r}]}, places in the scans that
are or may be nodules and are not taken.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.progress import track
from scipy import ndimage

from pipelines.catalog import get_pipeline
from pipelines.lung_nodule.candidates import LARGEST_MM, SMALLEST_MM, find_candidates
from pipelines.steps.grow import Grown, grow
from pipelines.steps.three_planes import FIELD_MM, HU_RANGE, show_nodule
from pipelines.terms import Mask, Volume
from pipelines.training.lidc import Voi, read_vois

VIEWS = 6
NEAR_MM = 3.0
"""What lies nearer to the nodule's outline than this is part of it or of its surroundings."""
MOST_BESIDE = 3
STRIKING = 250
"""Blobs of a scan that become negatives: the most striking are the hard ones."""
Spacing = tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A place in the ways it was laid. views: uint8 (VIEWS + 1, 3, side, side), the first as a pipeline sees it.

    source: "lidc" or the name of a scan. nodule: 1 or 0. malignancy, texture: 0 where nobody rated.
    diameter_mm: by the pipeline's own outline; reference_mm: of the radiologists', by the sheet, else 0. dice: of the
    two outlines. center_mm: in a scan, LPS.
    """

    views: NDArray[np.uint8]
    source: str
    patient: str
    nodule: int
    malignancy: int
    texture: int
    diameter_mm: float
    reference_mm: float
    dice: float
    center_mm: tuple[float, float, float]


def main(arguments: Sequence[str] | None = None) -> None:
    """Reads the command line and writes the pictures."""
    parser = argparse.ArgumentParser(description="Pictures of nodules and of what is none")
    parser.add_argument("--lidc", type=Path, required=True)
    parser.add_argument("--scans", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lesions", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    dice = np.random.default_rng(options.seed)
    lesions = json.loads(options.lesions.read_text("utf-8")) if options.lesions else {}
    pictures = [
        picture for voi in track(list(read_vois(options.lidc)), "cut-outs") for picture in look_at_voi(voi, dice)
    ]
    for path in track(sorted(options.scans.glob("*.npz")), "scans"):
        pictures += look_at_scan(path, lesions.get(path.stem, []), dice)
    names = Picture.__slots__
    arrays: dict[str, Any] = {name: np.array([getattr(one, name) for one in pictures]) for name in names}
    np.savez_compressed(options.out, **arrays)


def look_at_voi(voi: Voi, dice: np.random.Generator) -> Iterator[Picture]:
    """The nodule, where the pipeline could outline it, and up to MOST_BESIDE things beside it."""
    k, j, i = (float(np.mean(places)) for places in np.nonzero(voi.mask))
    grown = grow(voi.voxels, voi.spacing, (k, j, i))
    if grown is not None and SMALLEST_MM <= grown.diameter_mm <= LARGEST_MM:
        found = np.zeros(voi.mask.shape, dtype=bool)
        found[grown.box] = grown.mask
        overlap = 2.0 * np.count_nonzero(found & voi.mask) / (np.count_nonzero(found) + np.count_nonzero(voi.mask))
        views = lay(voi.voxels, voi.spacing, grown, dice)
        yield Picture(
            views,
            "lidc",
            voi.patient,
            1,
            voi.malignancy,
            voi.texture,
            grown.diameter_mm,
            voi.diameter_mm,
            overlap,
            (0.0, 0.0, 0.0),
        )
    for other in _find_beside(voi):
        views = lay(voi.voxels, voi.spacing, other, dice)
        yield Picture(views, "lidc", voi.patient, 0, 0, 0, other.diameter_mm, 0.0, 0.0, (0.0, 0.0, 0.0))


def look_at_scan(path: Path, lesions: Sequence[dict[str, object]], dice: np.random.Generator) -> Iterator[Picture]:
    """Every candidate of a scan but those that are or may be nodules."""
    with np.load(path) as data:
        volume = Volume(data["voxels"].astype(np.float32), data["affine"].astype(np.float64), "1.2.3", "CT")
        patient = str(data["patient"])
    for candidate in find_candidates(volume, find_lungs(volume), most=STRIKING):
        x, y, z = (float(value) for value in (volume.affine @ (*candidate.grown.center, 1.0))[:3])
        if any(_is_near((x, y, z), lesion) for lesion in lesions):
            continue
        views = lay(volume.voxels, volume.spacing, candidate.grown, dice)
        yield Picture(views, path.stem, patient, 0, 0, 0, candidate.grown.diameter_mm, 0.0, 0.0, (x, y, z))


def find_lungs(volume: Volume) -> Mask:
    """Both lungs as lung-seg finds them."""
    lungs = np.zeros(volume.shape, dtype=bool)
    for segment in get_pipeline("lung-seg").load("cpu").run(volume, lambda *_: None).segments:
        lungs |= segment.mask
    return lungs


def lay(voxels: NDArray[np.float32], spacing: Spacing, grown: Grown, dice: np.random.Generator) -> NDArray[np.uint8]:
    """`grown` as the pipeline shows it to its network, and VIEWS times as it could have come otherwise."""
    views: list[NDArray[Any]] = [show_nodule(voxels, spacing, grown.center, grown.diameter_mm)]
    for _ in range(VIEWS):
        part, center = _cut(voxels, spacing, grown, dice)
        if dice.random() < 0.3:
            part = ndimage.uniform_filter1d(part, max(1, round(dice.uniform(1.5, 5.0) / spacing[0])), axis=0)
        stretch = (float(dice.uniform(0.85, 1.2)), float(dice.uniform(0.75, 1.25)))
        seen = show_nodule(part, spacing, center, grown.diameter_mm, stretch)
        if dice.random() < 0.3:
            seen = ndimage.gaussian_filter(seen, (0, *2 * [float(dice.uniform(0.3, 1.0))]))
        views.append(seen + dice.normal(0, dice.uniform(0, 40), seen.shape) + dice.normal(0, 20))
    low, high = HU_RANGE
    return np.stack([np.clip((view - low) * (255 / (high - low)), 0, 255).astype(np.uint8) for view in views])


def _cut(
    voxels: NDArray[np.float32], spacing: Spacing, grown: Grown, dice: np.random.Generator
) -> tuple[NDArray[np.float32], Spacing]:
    """A part of `voxels` that ends near the blob on some sides, as cut-outs do; and where its middle lies in it, a
    little off."""
    field = float(np.clip(2.0 * grown.diameter_mm, *FIELD_MM))
    box, center = [], []
    for axis, (size, mm, at) in enumerate(zip(voxels.shape, spacing, grown.center, strict=True)):
        reach = grown.diameter_mm / 2 if axis == 0 else field / 2
        near = (0.7, 1.3) if axis == 0 else (0.6, 1.0)
        ends = [reach * dice.uniform(*near) if dice.random() < 0.5 else 1e3 for _ in range(2)]
        start, stop = max(0, round(at - ends[0] / mm)), min(size, round(at + ends[1] / mm) + 1)
        start, stop = (start, stop) if stop - start > 1 else (max(0, int(at)), min(size, int(at) + 2))
        box.append(slice(start, stop))
        center.append(at - start + dice.normal(0, 0.05 * grown.diameter_mm) / mm)
    return voxels[tuple(box)], (center[0], center[1], center[2])


def _find_beside(voi: Voi) -> Iterator[Grown]:
    """Dense, compact things in the cut-out that do not touch the nodule, the most striking first."""
    away = ndimage.distance_transform_edt(~voi.mask, sampling=voi.spacing)
    taken: list[NDArray[Any]] = []
    for _, index in sorted(_find_peaks(voi), reverse=True):
        if away[index] < NEAR_MM or len(taken) == MOST_BESIDE:
            continue
        grown = grow(voi.voxels, voi.spacing, index)
        if (
            grown is None
            or not SMALLEST_MM <= grown.diameter_mm <= LARGEST_MM
            or (voi.mask[grown.box] & grown.mask).any()
        ):
            continue
        at = np.array(grown.center) * np.array(voi.spacing)
        if any(float(np.linalg.norm(at - other)) < max(3.0, grown.diameter_mm / 2) for other in taken):
            continue
        taken.append(at)
        yield grown


def _find_peaks(voi: Voi) -> Iterator[tuple[float, tuple[int, int, int]]]:
    """(answer, index) of blobs in each plane: a cut-out is too flat for a filter in space."""
    for k, plane in enumerate(np.clip(voi.voxels, -1000.0, 0.0)):
        for sigma in (1.3, 1.9, 2.8):
            answer = -(sigma**2) * ndimage.gaussian_laplace(plane, sigma / voi.spacing[1]) / voi.spacing[1] ** 2
            peaks = (answer > 75.0) & (answer >= ndimage.maximum_filter(answer, 3))
            for j, i in np.argwhere(peaks):
                yield float(answer[j, i]), (k, int(j), int(i))


def _is_near(place: tuple[float, float, float], lesion: dict[str, object]) -> bool:
    away = np.linalg.norm(np.array(place) - np.asarray(lesion["center_mm"], dtype=np.float64))
    return bool(away <= float(str(lesion["radius_mm"])))


if __name__ == "__main__":
    main()
