"""A mask that costs no memory of its own: where a label volume, shared by many segments, holds one number."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
LabelVolume = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True, slots=True, eq=False)
class LabelMask:
    """The share of `label` in a label volume, as an arg max over classes gives it.

    labels: uint8 or uint16, shape (k, j, i) of the source volume. It is kept as it is and not copied: never change it.
    label: a number from 1; 0 is the background.
    """

    labels: LabelVolume
    label: int

    def __post_init__(self) -> None:
        if self.labels.ndim != 3 or self.labels.dtype not in (np.uint8, np.uint16):
            raise ValueError(f"a label volume is uint8 or uint16 on (k, j, i), not {self.labels.dtype}")
        if not 1 <= self.label <= np.iinfo(self.labels.dtype).max:
            raise ValueError(f"a label is a number from 1 that {self.labels.dtype} can hold, not {self.label}")

    @property
    def is_empty(self) -> bool:
        """True when no voxel has the label; reads no further than to the first plane that has one."""
        return not any(bool((plane == self.label).any()) for plane in self.labels)

    def to_array(self) -> Mask:
        """The mask as a new bool array (k, j, i)."""
        mask: Mask = self.labels == self.label
        return mask
