"""How many windows a network looks at together: as many as its device has room for, fewer when it has not."""

import gc
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipelines.bundles.shortage import is_shortage

MOST = 8
"""More do not keep a GPU busier."""
SHARE = 0.5
"""Of a GPU's memory, for what a batch needs while it is looked at."""


class Crowd:
    """Looks at windows (channel, x, y, z), some at a time.

    On the CPU as many as the bundle says. On a GPU by what one of them needed and by the memory of the card, not by
    what is free of it: the sums of a batch are in another order than those of one, and a rerun must give the same. Only
    where memory is used up the batch is halved, down to one; then the error is the caller's.
    """

    def __init__(self, look: Callable[[Tensor], Tensor], device: str, size: int) -> None:
        self._look = look
        self._device = device
        self._is_cuda = device.startswith("cuda")
        self._size = 1 if self._is_cuda else max(size, 1)
        self._is_measured = not self._is_cuda
        self._flat: dict[tuple[float, ...], Tensor] = {}

    def take(self, windows: Sequence[Tensor]) -> tuple[int, Tensor]:
        """How many of the first of `windows` were looked at, at least one, and what is said of them (n, ...), in
        float32, on the device. Raises what the network raises when one alone is too much."""
        while True:
            some = windows[: self._size]
            try:
                return len(some), self._see(some)
            except Exception as error:
                if len(some) == 1 or not is_shortage(error):
                    raise
                self._size = len(some) // 2
            self._give_back()

    def _see(self, some: Sequence[Tensor]) -> Tensor:
        """A window that holds one number a channel (outside the scanner's circle, a brain cut out) is looked at once:
        equal windows have equal answers."""
        if len(some) == 1 and (flat := _find_flat(some[0])) is not None:
            if flat not in self._flat:
                self._flat = {flat: self._ask(some)}
            return self._flat[flat]
        return self._ask(some)

    def _ask(self, some: Sequence[Tensor]) -> Tensor:
        if not self._is_measured:
            return self._measure(some)
        return self._look(torch.stack(list(some)).to(self._device)).float()

    def _measure(self, some: Sequence[Tensor]) -> Tensor:
        """The first on a GPU: from then on as many at a time as have room."""
        before = torch.cuda.memory_allocated(self._device)
        torch.cuda.reset_peak_memory_stats(self._device)
        self._is_measured = True
        seen = self._ask(some)
        each = max(torch.cuda.max_memory_allocated(self._device) - before, 1)
        room = SHARE * torch.cuda.get_device_properties(self._device).total_memory
        self._size = max(1, min(MOST, int(room / each)))
        return seen

    def _give_back(self) -> None:
        gc.collect()
        if self._is_cuda:
            torch.cuda.empty_cache()


def _find_flat(window: Tensor) -> tuple[float, ...] | None:
    """The one number of each channel of `window`; None where there are several."""
    first = window[:, 0, 0, 0]
    if not bool((window[:, :, 0, 0] == first[:, None]).all()) or not bool((window == first[:, None, None, None]).all()):
        return None
    return tuple(first.tolist())
