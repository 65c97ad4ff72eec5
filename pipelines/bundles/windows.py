"""Sliding windows whose answer is decided as the windows go by: one class a voxel, or each class for itself.

MONAI keeps the sum of every class for every voxel until the end: 105 classes of a chest at 1.5 mm are 7 GB. Only
windows that still come can change a voxel. So windows go along one axis, the sums are kept for the planes within reach
of a window alone, and planes that all windows have passed are decided at once and forgotten.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import torch
from monai.data.utils import compute_importance_map
from monai.inferers import SlidingWindowInferer
from monai.utils import fall_back_tuple
from torch import Tensor

from pipelines.bundles.crowd import Crowd
from pipelines.bundles.shortage import is_shortage
from pipelines.bundles.tail import Tail

Look = Callable[[Tensor], Tensor]
Decide = Callable[[Tensor], Tensor]
"""What becomes of the weighted means (class, x, y, z) of a few planes: (channel, x, y, z), as small as may be."""
ROOM = 1 << 23
"""Numbers of all classes that are looked at together to decide: 32 MB."""


def pick_highest(means: Tensor) -> Tensor:
    """The class of the highest mean, (1, x, y, z): uint8 while that holds all classes, else int16."""
    return means.argmax(dim=0, keepdim=True).to(torch.uint8 if means.shape[0] <= 256 else torch.int16)


def keep_means(means: Tensor) -> Tensor:
    """The means themselves, for a bundle that goes on with them."""
    return means.contiguous()


def decide_windows(
    image: Tensor,
    look: Look,
    inferer: SlidingWindowInferer,
    device: str,
    decide: Decide = pick_highest,
    tail: Tail | None = None,
) -> Tensor:
    """What `decide` says of each voxel of `image` (1, channel, x, y, z): (channel, x, y, z), on the CPU.

    Windows, overlap, weights and padding are the inferer's, so the means are those that it would give.
    look: logits (n, class, window) of windows (n, channel, window) on `device`; features where `tail` is
    the last layer.
    """
    size = tuple(image.shape[2:])
    roi = fall_back_tuple(inferer.roi_size, size)
    padded, before = _pad(image, roi, inferer)
    starts = [_find_starts(n, r, o) for n, r, o in zip(padded.shape[2:], roi, _overlaps(inferer), strict=True)]
    weight = compute_importance_map(roi, mode=inferer.mode, sigma_scale=inferer.sigma_scale, device="cpu")
    axis = max(range(3), key=lambda n: int(padded.shape[2 + n]))
    crowd = Crowd(look, device, inferer.sw_batch_size)
    decided: list[Tensor] = []
    sums: _Sums | None = None
    for n, start in enumerate(starts[axis]):
        for corner, logits in _look_at(padded, list(_corners(starts, axis, start)), roi, crowd):
            if sums is None:
                shape = [*padded.shape[2:]]
                shape[axis] = roi[axis]
                sums = _Sums(shape, logits, weight, axis)
            corner[axis] = 0
            sums.add(logits, tuple(slice(c, c + r) for c, r in zip(corner, roi, strict=True)))
        assert sums is not None  # each start has a window
        done = (starts[axis][n + 1] - start) if n + 1 < len(starts[axis]) else roi[axis]
        decided += sums.decide(done, decide, tail)
        sums.pass_on(done)
    whole = torch.cat(decided, dim=axis + 1)
    cut = tuple(slice(b, b + n) for b, n in zip(before, size, strict=True))
    return whole[(slice(None), *cut)]


class _Sums:
    """Weighted sums (x, y, z, class) of the windows that begin at one place of an axis, and of their weights."""

    def __init__(self, shape: Sequence[int], logits: Tensor, weight: Tensor, axis: int) -> None:
        """Where `logits` (class, window) are; on the CPU where there is no room for the sums beside them."""
        self._axis = axis
        try:
            self._sums = torch.zeros(*shape, logits.shape[0], device=logits.device)
        except RuntimeError as error:
            if logits.device.type == "cpu" or not is_shortage(error):
                raise
            self._sums = torch.zeros(*shape, logits.shape[0])
        self._total = torch.zeros(*shape, device=self._sums.device)
        self._weight = weight.to(self._sums.device)

    def add(self, logits: Tensor, place: tuple[slice, ...]) -> None:
        """A window: its `logits` (class, window) at `place`."""
        some = logits.to(self._sums.device).permute(1, 2, 3, 0)
        self._sums[place].addcmul_(some, self._weight[..., None])
        self._total[place] += self._weight

    def decide(self, done: int, decide: Decide, tail: Tail | None) -> Iterator[Tensor]:
        """What `decide` says of the first `done` planes, a few at a time: never more than ROOM numbers of classes."""
        classes = self._sums.shape[-1] if tail is None else tail.weight.shape[0]
        step = max(1, ROOM * self._sums.shape[self._axis] // (classes * self._total.numel()))
        for first in range(0, done, step):
            count = min(step, done - first)
            sums = self._sums.narrow(self._axis, first, count)
            means = sums / self._total.narrow(self._axis, first, count)[..., None]
            with torch.autocast(means.device.type, enabled=False):
                scores = means if tail is None else tail.apply(means)
            yield decide(scores.movedim(-1, 0)).cpu()

    def pass_on(self, done: int) -> None:
        """Drops the first `done` planes, and begins as many at the end."""
        for sums in (self._sums, self._total):
            _pass_on(sums, self._axis, done)


def _overlaps(inferer: SlidingWindowInferer) -> tuple[float, ...]:
    overlap: Any = inferer.overlap
    return tuple(overlap) if isinstance(overlap, (tuple, list)) else (float(overlap),) * 3


def _find_starts(length: int, roi: int, overlap: float) -> list[int]:
    """Where windows begin along an axis; the last ends with the image (monai.data.utils.dense_patch_slices)."""
    step = roi if roi == length else max(int(roi * (1 - overlap)), 1)
    count = max(-(-(length - roi) // step) + 1, 1)
    return sorted({min(n * step, length - roi) for n in range(count)})


def _corners(starts: list[list[int]], axis: int, start: int) -> Iterator[list[int]]:
    """Every window that begins at `start` along `axis`."""
    for corner in product(*(starts[n] if n != axis else [start] for n in range(3))):
        yield list(corner)


def _look_at(
    image: Tensor, corners: list[list[int]], roi: tuple[int, ...], crowd: Crowd
) -> Iterator[tuple[list[int], Tensor]]:
    """(corner, logits on the device) window by window."""
    cuts = [image[0][(slice(None), *(slice(c, c + r) for c, r in zip(one, roi, strict=True)))] for one in corners]
    first = 0
    while first < len(corners):
        count, logits = crowd.take(cuts[first:])
        yield from zip(corners[first : first + count], logits, strict=True)
        first += count


def _pass_on(sums: Tensor, axis: int, done: int) -> None:
    """Drops the first `done` planes along `axis`, and begins as many at the end."""
    kept = sums.shape[axis] - done
    if kept > 0:
        sums.narrow(axis, 0, kept).copy_(sums.narrow(axis, done, kept).clone())
    sums.narrow(axis, max(kept, 0), done).zero_()


def _pad(image: Tensor, roi: tuple[int, ...], inferer: SlidingWindowInferer) -> tuple[Tensor, list[int]]:
    """`image`, at least as large as a window, and how many voxels came before it along each axis."""
    short = [max(r - n, 0) for n, r in zip(image.shape[2:], roi, strict=True)]
    before = [one // 2 for one in short]
    if not any(short):
        return image, before
    pairs = [(b, s - b) for b, s in zip(before, short, strict=True)]
    flat = [n for pair in reversed(pairs) for n in pair]
    mode = str(getattr(inferer.padding_mode, "value", inferer.padding_mode))
    value = inferer.cval if mode == "constant" else None
    return torch.nn.functional.pad(image, flat, mode=mode, value=value), before
