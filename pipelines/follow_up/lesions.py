"""A lesion of one study as it is compared: where it is, how large it is."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.steps.axes import find_longest_axes
from pipelines.terms import Box, Segment, Volume


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """center: of mass, LPS mm. long_mm: the longest diameter in an acquisition plane (RECIST 1.1). ml: volume."""

    segment: Segment
    center: NDArray[np.float64]
    long_mm: float
    ml: float


def measure_lesions(segments: Mapping[str, Segment], volume: Volume) -> list[Lesion]:
    """The lesions among `segments`, masks on the grid of `volume`, that have a voxel."""
    found = []
    for segment in segments.values():
        if segment.is_lesion and not segment.is_empty:
            found.append(_measure(segment, volume))
    return found


def _measure(segment: Segment, volume: Volume) -> Lesion:
    mask = segment.mask
    index = np.array([float(np.mean(places)) for places in np.nonzero(mask)])
    box = Box.around(mask)
    cut = mask[tuple(slice(round(a + 0.5), round(b + 0.5)) for a, b in zip(box.low, box.high, strict=True))]
    axes = find_longest_axes(cut, volume.spacing)
    center = volume.affine[:3, :3] @ index + volume.affine[:3, 3]
    return Lesion(segment, center, axes.long_mm if axes else 0.0, float(np.count_nonzero(mask)) * volume.voxel_ml)
