"""A volume as registration reads it: coarse, along the patient's axes, without table and surrounding air."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk  # noqa: N813  the name by which everybody knows it
import torch
from numpy.typing import NDArray

from pipelines.errors import UnsuitableVolume
from pipelines.steps.body import find_outside
from pipelines.steps.intensity import check_hounsfield
from pipelines.steps.project import crop_grid
from pipelines.steps.resample import Grid, make_aligned_grid, resample
from pipelines.terms import Mask, Volume

AIR_HU, BONE_HU = -1000.0, 500.0
LEAST_MM = 60.0
"""A body part is told from another by no less of it, along every axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """values: float32 (k, j, i) along +z, +y, +x (LPS) on `grid`, isotropic; 0 to 1 from air to bone in CT, from the
    least to the 99th percentile of tissue in others. body: where the patient was measured."""

    values: NDArray[np.float32]
    body: Mask
    grid: Grid
    modality: str

    def to_image(self) -> sitk.Image:
        """The values as an ITK image in LPS mm."""
        return self._place(sitk.GetImageFromArray(self.values))

    def to_mask(self) -> sitk.Image:
        """The body as an ITK mask of the same place."""
        return self._place(sitk.GetImageFromArray(self.body.astype(np.uint8)))

    @property
    def center(self) -> NDArray[np.float64]:
        """Center of the body in LPS mm."""
        index = np.array([float(np.mean(places)) for places in np.nonzero(self.body)])
        center: NDArray[np.float64] = self.grid.affine[:3, :3] @ index + self.grid.affine[:3, 3]
        return center

    @property
    def length_mm(self) -> float:
        """Extent along z."""
        return self.grid.shape[0] * float(self.grid.affine[2, 0])

    def _place(self, image: sitk.Image) -> sitk.Image:
        image.SetOrigin([float(v) for v in self.grid.affine[:3, 3]])
        image.SetSpacing([float(self.grid.affine[2, 0])] * 3)
        return image


def prepare(volume: Volume, spacing_mm: float) -> Prepared:
    """`volume` on the aligned grid of `spacing_mm`, cut to the patient. Raises UnsuitableVolume when a CT is not in HU,
    when there is no body in it, or less of one than could be recognized."""
    if volume.modality == "CT":
        check_hounsfield(volume.voxels)
    elif not np.isfinite(volume.voxels).all() or float(np.ptp(volume.voxels)) == 0:
        raise UnsuitableVolume("there is no image: its voxels are all alike, or no finite numbers")
    grid = make_aligned_grid(volume.shape, volume.affine, spacing_mm)
    known = resample(torch.from_numpy(volume.voxels), volume.affine, grid, fill=torch.nan).numpy()
    body = _find_body(known, volume.modality, spacing_mm)
    box = _find_box(body)
    if box is None or min(side.stop - side.start for side in box) * spacing_mm < LEAST_MM:
        raise UnsuitableVolume(f"there is no body of at least {LEAST_MM:.0f} mm along every axis to be recognized")
    values = _scale(known, body, volume.modality)
    return Prepared(np.ascontiguousarray(values[box]), body[box], crop_grid(grid, box), volume.modality)


def _find_body(known: NDArray[np.float32], modality: str, spacing_mm: float) -> Mask:
    measured = np.isfinite(known)
    if modality == "CT":
        return np.asarray(measured & ~find_outside(known, spacing_mm))
    return np.asarray(measured)  # the air around a head is as still as the head


def _scale(known: NDArray[np.float32], body: Mask, modality: str) -> NDArray[np.float32]:
    if modality == "CT":
        low, high = AIR_HU, BONE_HU
    else:
        low, high = (float(v) for v in np.percentile(known[body], (0.5, 99)))
    scaled = np.clip((np.where(body, known, low) - low) / max(high - low, 1e-6), 0.0, 1.0)
    return np.asarray(scaled, dtype=np.float32)


def _find_box(body: Mask) -> tuple[slice, slice, slice] | None:
    spans = [np.flatnonzero(body.any(axis=tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not all(span.size for span in spans):
        return None
    k, j, i = (slice(int(span[0]), int(span[-1]) + 1) for span in spans)
    return k, j, i
