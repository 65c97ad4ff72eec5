"""Smaller windows, for a bundle whose own were more than the memory of its device."""

from typing import Any

from monai.inferers import SlidingWindowInferer

COARSEST = 32
"""So much a network halves its windows at most, all in all: smaller windows stay multiples of it where whole ones are.
What is no longer is left as it is."""


def spare(inferer: Any) -> bool:
    """Makes the windows of `inferer` about half as long and one at a time; False where it has none to make smaller."""
    if not isinstance(inferer, SlidingWindowInferer):
        return False
    sides = inferer.roi_size
    smaller = [shorten(int(n)) for n in sides] if isinstance(sides, (tuple, list)) else shorten(int(sides))
    changed = smaller != (list(sides) if isinstance(sides, (tuple, list)) else sides) or inferer.sw_batch_size > 1
    inferer.roi_size, inferer.sw_batch_size = smaller, 1
    return bool(changed)


def shorten(side: int) -> int:
    """About half of `side`, and a multiple of the power of two (COARSEST at most) that divides it: 64 of 96."""
    if side <= COARSEST:
        return side
    unit = min(side & -side, COARSEST)
    return unit * -(-(side // unit) // 2)
