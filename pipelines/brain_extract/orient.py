"""Turning a volume by whole axes until it lies as the networks learned it, and masks back again."""

from dataclasses import dataclass
from itertools import permutations
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.terms import Affine

Number = TypeVar("Number", bound=np.generic)

TOWARD_RAS = np.array([-1.0, -1.0, 1.0])
"""Right, anterior and superior as signs of the patient's LPS axes."""


@dataclass(frozen=True, slots=True)
class Turn:
    """axes: which axis of the volume (0 k, 1 j, 2 i) becomes x, y and z; flips: which of these then run backward."""

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, voxels: NDArray[np.float32]) -> NDArray[np.float32]:
        """`voxels` (k, j, i) as a view (x, y, z): to the patient's right, front and head."""
        return np.flip(voxels.transpose(self.axes), self._backward())

    def undo(self, found: NDArray[Number]) -> NDArray[Number]:
        """A mask or a map (x, y, z) back on the volume's own grid (k, j, i)."""
        back = np.argsort(self.axes)
        return np.ascontiguousarray(np.flip(found, self._backward()).transpose(back))

    def _backward(self) -> tuple[int, ...]:
        return tuple(axis for axis, flip in enumerate(self.flips) if flip)


def find_turn(affine: Affine) -> Turn:
    """The turn that brings the volume's axes nearest to right, anterior, superior; oblique ones stay oblique."""
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    x, y, z = max(permutations(range(3)), key=lambda axes: sum(abs(cosines[n, axis]) for n, axis in enumerate(axes)))
    signs = np.array([cosines[0, x], cosines[1, y], cosines[2, z]]) * TOWARD_RAS
    right, front, head = (bool(sign < 0) for sign in signs)
    return Turn((x, y, z), (right, front, head))
