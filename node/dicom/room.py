"""Memory for one volume, kept for the next: a worker reads one study after another, and half a gigabyte that is new to
the process costs more time than reading the images into it."""

from math import prod
from typing import Any
from weakref import finalize

import numpy as np
from numpy.typing import DTypeLike, NDArray


class _Held:
    """What an array from a Room, and every view of it, keeps alive: its end is the end of them all."""

    __slots__ = ("__array_interface__", "__weakref__")

    def __init__(self, block: NDArray[np.uint8], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        place = (block.ctypes.data, False)
        self.__array_interface__ = {"version": 3, "typestr": dtype.str, "shape": shape, "data": place}


class Room:
    """One block of memory is kept, the largest that came back; it is given away again when nothing refers to it."""

    def __init__(self) -> None:
        self._spare: NDArray[np.uint8] | None = None

    def make_empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """A new array of any content, as np.empty makes it."""
        kind = np.dtype(dtype)
        block = self._take(max(prod(shape) * kind.itemsize, 1))
        held = _Held(block, shape, kind)
        finalize(held, self._give_back, block).atexit = False
        return np.asarray(held)

    def _take(self, size: int) -> NDArray[np.uint8]:
        spare, self._spare = self._spare, None
        if spare is not None and spare.nbytes >= size:
            return spare
        del spare  # before another is asked for
        return np.empty(size, np.uint8)

    def _give_back(self, block: NDArray[np.uint8]) -> None:
        spare = self._spare
        if spare is None or spare.nbytes < block.nbytes:
            self._spare = block
