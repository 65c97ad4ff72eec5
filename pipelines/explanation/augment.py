"""The same image a little otherwise: mirrored and moved, with the way back (test-time augmentation)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Change:
    """shift: voxels, 0 or more, for each axis of space, by which all is moved towards higher indices; what leaves is
    lost, what comes in repeats the edge. flip: axes of space that are mirrored before, 0 the first of them."""

    shift: tuple[int, ...]
    flip: tuple[int, ...] = ()

    def apply(self, image: Tensor) -> Tensor:
        """`image` (..., *space), changed."""
        wide = _pad(self._mirror(image), self.shift, before=True)
        return _cut(wide, (0,) * len(self.shift), image.shape)

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
    """ask(image) (*space) as it is after each of `changes`, laid back on the grid of `image` (*space), one at a time.

    Every member sees a margin of repeated edge, as wide as the farthest shift, so that none loses a voxel.
    """
    margin = tuple(max(change.shift[axis] for change in changes) for axis in range(image.ndim))
    wide = _pad(_pad(image, margin, before=True), margin, before=False)
    for change in changes:
        yield _cut(change.undo(ask(change.apply(wide))), margin, image.shape)


def _cut(wide: Tensor, start: Sequence[int], shape: Sequence[int]) -> Tensor:
    """What begins at `start` along the last axes and is as large as the last of `shape`."""
    first = wide.ndim - len(start)
    for axis, low in enumerate(start, first):
        wide = wide.narrow(axis, low, shape[axis])
    return wide


def _pad(image: Tensor, steps: Sequence[int], *, before: bool) -> Tensor:
    """`image` with its edge repeated by `steps` voxels along its last axes."""
    if not any(steps):
        return image
    lead, space = image.shape[: -len(steps)], image.shape[-len(steps) :]
    pairs = [(step, 0) if before else (0, step) for step in reversed(steps)]
    flat = [n for pair in pairs for n in pair]
    made = functional.pad(image.reshape(1, -1, *space), flat, mode="replicate")
    return made.reshape(*lead, *made.shape[2:])
