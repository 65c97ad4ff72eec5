"""A volume: voxels that know where in the patient they are."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Affine = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels on a regular grid in the patient's coordinate system (LPS, mm; PS3.3 C.7.6.2.1.1).

    voxels: float32, shape (k, j, i): planes along the stack, rows, columns. CT in HU, PET and MR in
        the stored unit after rescale.
    affine: 4x4, maps the index vector (k, j, i, 1) to (x, y, z, 1) in mm: +x to the patient's Left,
        +y Posterior, +z Superior. May be left-handed, oblique or anisotropic.
    frame_of_reference_uid: the frame in which affine speaks.
    modality: DICOM Modality of the source: "CT", "MR" ...
    """

    voxels: NDArray[np.float32]
    affine: Affine
    frame_of_reference_uid: str
    modality: str

    def __post_init__(self) -> None:
        if self.voxels.ndim != 3 or 0 in self.voxels.shape:
            raise ValueError(f"a volume has three axes of at least one voxel, not {self.voxels.shape}")
        if self.voxels.dtype != np.float32:
            raise ValueError(f"voxels are float32, not {self.voxels.dtype}")
        if self.affine.shape != (4, 4) or abs(float(np.linalg.det(self.affine[:3, :3]))) < 1e-9:
            raise ValueError("affine must be an invertible 4x4 matrix")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(k, j, i)."""
        k, j, i = self.voxels.shape
        return k, j, i

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance in mm between neighbours along k, j and i."""
        k, j, i = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(k), float(j), float(i)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in mL."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0
