"""Where one volume of a patient lies on another: a rigid motion in mm, and a field of displacements where it bends."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.terms.volume import Affine

ORTHONORMAL = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Field:
    """Displacements at the nodes of a grid of its own in the fixed volume's patient coordinates.

    vectors: float32 (k, j, i, 3), (x, y, z) in mm, LPS. affine: 4x4, (k, j, i, 1) -> (x, y, z, 1) in mm; upright, its
    axes perpendicular and right-handed in the order i, j, k. Between nodes vectors are linear, beyond them as at their
    edge.
    """

    vectors: NDArray[np.float32]
    affine: Affine

    def __post_init__(self) -> None:
        if self.vectors.ndim != 4 or self.vectors.shape[3] != 3 or self.vectors.dtype != np.float32:
            raise ValueError(f"vectors are float32 (k, j, i, 3), not {self.vectors.dtype} {self.vectors.shape}")
        if not np.isfinite(self.vectors).all():
            raise ValueError("some vectors of the field are not finite")
        axes = self.affine[:3, 2::-1] / np.linalg.norm(self.affine[:3, 2::-1], axis=0)
        if not (np.allclose(axes.T @ axes, np.eye(3), atol=ORTHONORMAL) and np.linalg.det(axes) > 0):
            raise ValueError("the axes of a field are perpendicular and right-handed in the order i, j, k")


@dataclass(frozen=True, slots=True, eq=False)
class Registration:
    """How a pipeline laid another volume (moving) on its own (fixed).

    key: short name, unique in the result. frame_of_reference_uid: of the moving volume. label: for people.
    matrix: 4x4, rigid, a point (x, y, z, 1) of the moving volume in LPS mm -> the same place in the fixed volume.
    field: None where the motion is rigid. A point x of the fixed volume lies at inverse(matrix) (x + field(x)) in the
        moving one.
    """

    key: str
    frame_of_reference_uid: str
    label: str
    matrix: Affine
    field: Field | None = None

    def __post_init__(self) -> None:
        turn = self.matrix[:3, :3]
        rigid = np.allclose(turn @ turn.T, np.eye(3), atol=ORTHONORMAL) and float(np.linalg.det(turn)) > 0
        if self.matrix.shape != (4, 4) or not rigid or not np.array_equal(self.matrix[3], [0, 0, 0, 1]):
            raise ValueError("the matrix of a registration is rigid: rotations and translations")
