"""Where the planes of a tilted or uneven stack lie on an upright, even grid; and moving images between the two.

Rows and columns of the grid are those of the planes, and only its k axis differs: it runs along their normal. A tilt
is then a shift of each plane within itself, uneven spacing a place between two planes of the grid, and nothing turns.
"""

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from node.dicom.geometry import Vector
from node.dicom.stack import Stack
from pipelines.terms import Affine, Mask

Plane = NDArray[np.float32]
Kind = TypeVar("Kind", bound=np.generic)

FINE_MM = 1.0
"""Planes of the grid of an uneven stack are at most this far apart: each source plane is within 0.5 mm of one."""
SLIGHT = 0.01
"""Shifts under this part of a pixel or of a step are rounding of the header; to follow them would only blur."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """The planes of one stack on an upright, even grid.

    shape, affine: of the grid, as those of a Volume. It covers every plane, the first and the last lie on its ends.
    size: (rows, columns) of the planes.
    depths: index k on the grid of each plane, ascending, fractional where it lies between two, shape (n,).
    corners: row and column of the grid that are nearest the first pixel of each plane, shape (n, 2).
    rests: pixels by which that row and column lie beyond the first pixel, -0.5 to 0.5, shape (n, 2).
    """

    shape: tuple[int, int, int]
    affine: Affine
    size: tuple[int, int]
    depths: Vector
    corners: NDArray[np.intp]
    rests: Vector

    def window(self, plane: int) -> tuple[slice, slice]:
        """The rows and columns of the grid that `plane` takes up."""
        row, column = (int(n) for n in self.corners[plane])
        return slice(row, row + self.size[0]), slice(column, column + self.size[1])


def place_planes(stack: Stack) -> Placement:
    """The upright grid for `stack`: its pixel spacing, and along the normal its own spacing where that is even. Where
    it is not, the usual spacing, yet no more than FINE_MM: so no plane is rounded away by more than half of that.

    Raises ValueError when the planes are not in order along their normal.
    """
    axes = stack.affine[:3, :3].copy()
    axes[:, 0] = stack.normal
    along, rows, columns = np.linalg.solve(axes, (stack.positions - stack.positions[0]).T)
    if along[-1] < 0:
        axes[:, 0], along = -axes[:, 0], -along
    if np.diff(along).min() <= 0:
        raise ValueError("the planes of the stack are not in order along their normal")
    planes, spacing = _choose_steps(along, stack.is_regular)
    corners, rests, first = _round_corners(np.stack([rows, columns], axis=1))
    affine = np.eye(4)
    affine[:3, :3] = axes * (spacing, 1, 1)
    affine[:3, 3] = stack.positions[0] + axes[:, 1:] @ first
    height, width = (int(n) for n in corners.max(axis=0) + stack.shape[1:])
    return Placement((planes, height, width), affine, stack.shape[1:], _settle(along / spacing), corners, rests)


def _choose_steps(along: Vector, even: bool) -> tuple[int, float]:
    """How many planes the grid has, and their distance in mm."""
    length = float(along[-1])
    steps = len(along) - 1
    if not even:
        wanted = min(float(np.median(np.diff(along))), FINE_MM)
        steps = int(np.ceil(length / wanted - SLIGHT))
    return steps + 1, length / steps


def _round_corners(shifts: Vector) -> tuple[NDArray[np.intp], Vector, Vector]:
    """Whole pixels, rests, and the grid's first pixel in pixels from the first plane's.

    The grid's first pixel is chosen so that rests are zero on average: rounding then moves no object as a whole.
    """
    first = shifts.min(axis=0)
    for _ in range(2):
        corners = np.rint(_settle(shifts - first))
        first = first - (corners - (shifts - first)).mean(axis=0)
    corners = np.rint(_settle(shifts - first))
    lowest = corners.min(axis=0)
    corners, first = corners - lowest, first + lowest
    rests = corners - (shifts - first)
    rests[np.abs(rests) < SLIGHT] = 0.0
    return corners.astype(np.intp), rests, first


def _settle(numbers: Vector) -> Vector:
    """`numbers` with those that are nearly whole made whole."""
    whole = np.rint(numbers)
    return np.where(np.abs(numbers - whole) < SLIGHT, whole, numbers)


def slide(image: Plane, rest: Vector) -> Plane:
    """`image` sampled `rest` (rows, columns; -1 to 1) pixels further on, linearly; its edges are repeated."""
    for axis, amount in enumerate(rest):
        if amount:
            image = (1 - abs(amount)) * image + abs(amount) * _neighbors(image, axis, ahead=amount > 0)
    return image.astype(np.float32, copy=False)


def _neighbors(image: Plane, axis: int, ahead: bool) -> Plane:
    last = image.shape[axis] - 1
    indices = np.clip(np.arange(last + 1) + (1 if ahead else -1), 0, last)
    return image[indices] if axis == 0 else image[:, indices]


def lay_mask(mask: Mask, placement: Placement) -> Mask:
    """A mask (k, j, i) of the grid on the source planes, each pixel from the voxel nearest to it, shape (n, j, i).

    What is so thin that no plane has it, is laid on the nearest planes instead, unless it lies beside all of them.
    """
    nearest = np.rint(placement.depths).astype(np.intp)
    laid = np.stack([mask[k][placement.window(n)] for n, k in enumerate(nearest)])
    if not laid.any():
        for k in np.flatnonzero(mask.any(axis=(1, 2))):
            n = int(np.abs(placement.depths - k).argmin())
            laid[n] |= mask[k][placement.window(n)]
    return laid


def lay_values(values: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """Values (k, j, i) of the grid on the source planes, linear between voxels, shape (n, j, i)."""
    laid = np.empty((len(placement.depths), *placement.size), np.float32)
    for n, depth in enumerate(placement.depths):
        k = min(int(depth), placement.shape[0] - 2)
        weight, window = np.float32(depth - k), placement.window(n)
        image = (1 - weight) * values[k][window] + weight * values[k + 1][window] if weight else values[k][window]
        laid[n] = slide(image, -placement.rests[n])
    return laid
