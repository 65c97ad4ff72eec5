"""The same image a little otherwise: mirrored, moved, brighter, with the way back (test-time augmentation)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Change:
    """shift: voxels, 0 or more, for each axis of space, by which all is moved towards higher indices; what leaves is
    lost, what comes in repeats the edge. flip: axes of space that are mirrored before, 0 the first of them. gain: what
    every number is multiplied by."""

    shift: tuple[int, ...]
    flip: tuple[int, ...] = ()
    gain: float = 1.0

    def apply(self, image: Tensor) -> Tensor:
        """`image` (..., *space), changed."""
        wide = _pad(self._mirror(image), self.shift, before=True)
        moved = _cut(wide, (0,) * len(self.shift), image.shape)
        return moved if self.gain == 1.0 else moved * self.gain

    def undo(self, answer: Tensor) -> Tensor:
        """An answer to the changed image, back on the grid of the image."""
        wide = _pad(answer, self.shift, before=False)
        return self._mirror(_cut(wide, self.shift, answer.shape))

    def _mirror(self, image: Tensor) -> Tensor:
        return image.flip([axis - len(self.shift) for axis in self.flip]) if self.flip else image


def make_changes(flip: Sequence[int], shifts: Sequence[tuple[int, ...]]) -> tuple[Change, ...]:
    """Every one of `shifts`, as it is and mirrored along each of the axes `flip`."""
    return tuple(Change(shift, mirror) for shift in shifts for mirror in ((), *((axis,) for axis in flip)))


def answer_changed(ask: Callable[[Tensor], Tensor], image: Tensor, changes: Sequence[Change]) -> Iterator[Tensor]:
    """ask(image) (..., *space) as it is after each of `changes`, laid back on the grid of `image` (..., *space), one at
    a time.

    Every member sees a margin of repeated edge, as wide as the farthest shift, so that none loses a voxel.
    """
    margin = tuple(max(steps) for steps in zip(*(change.shift for change in changes), strict=True))
    wide = _pad(_pad(image, margin, before=True), margin, before=False)
    for change in changes:
        yield _cut(change.undo(ask(change.apply(wide))), margin, image.shape)


def _cut(wide: Tensor, start: Sequence[int], shape: Sequence[int]) -> Tensor:
    """What begins at `start` along the last axes and is as large as the last of `shape`."""
    first = wide.ndim - len(start)
    for axis, low in enumerate(start, first):
        wide = wide.narrow(axis, low, shape[axis - wide.ndim])
    return wide


def _pad(image: Tensor, steps: Sequence[int], *, before: bool) -> Tensor:
    """`image`, of any type of numbers, with its edge repeated by `steps` voxels along its last axes."""
    for axis, step in enumerate(steps, image.ndim - len(steps)):
        if step:
            length = image.shape[axis]
            order = torch.arange(-step, length) if before else torch.arange(length + step)
            image = image.index_select(axis, order.clamp(0, length - 1).to(image.device))
    return image
