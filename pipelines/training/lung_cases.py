"""The scans that train and test the lung model: made by `python -m workers.training_data`, labeled by rule here."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.lung_seg.network import PADDING_HU
from pipelines.steps.body import find_outside
from pipelines.steps.intensity import hide_padding
from pipelines.steps.resample import Grid, make_aligned_grid, resample
from pipelines.terms import Affine, Mask
from pipelines.training.lung_labels import label_lungs

LABEL_MM = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """One scan. name: unique; patient: what a split must keep together. voxels: int16 HU (k, j, i).

    grid: the aligned grid of LABEL_MM on which hu (float32, NaN outside the scan), lungs and body lie.
    """

    name: str
    patient: str
    voxels: NDArray[np.int16]
    affine: Affine
    grid: Grid
    hu: NDArray[np.float32]
    lungs: Mask
    body: Mask


def load_cases(folder: Path) -> list[Case]:
    """Every scan NAME.npz (voxels, affine, patient) of `folder`, by name. Labels are made once and kept beside it as
    NAME.labels; raises ValueError when there is no scan."""
    paths = sorted(folder.glob("*.npz"))
    if not paths:
        raise ValueError(f"{folder} holds no scan (*.npz)")
    return [_load_case(path) for path in paths]


def _load_case(path: Path) -> Case:
    with np.load(path) as data:
        voxels, affine, patient = data["voxels"], data["affine"].astype(np.float64), str(data["patient"])
    grid = make_aligned_grid(voxels.shape, affine, LABEL_MM)
    measured = torch.from_numpy(hide_padding(voxels.astype(np.float32), PADDING_HU))
    hu = resample(measured, affine, grid, fill=float("nan")).numpy()
    lungs = _load_lungs(path.with_suffix(".labels"), hu)
    body = ~find_outside(hu, LABEL_MM) & np.isfinite(hu)
    return Case(path.stem, patient, voxels, affine, grid, hu, lungs, body)


def _load_lungs(path: Path, hu: NDArray[np.float32]) -> Mask:
    if zipfile.is_zipfile(path):
        with np.load(path) as data:
            return np.asarray(data["lungs"])
    lungs = label_lungs(np.nan_to_num(hu, nan=-1024.0), LABEL_MM)
    with path.open("wb") as file:
        np.savez_compressed(file, lungs=lungs)
    return lungs
