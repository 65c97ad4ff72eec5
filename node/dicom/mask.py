"""What of a result can be drawn: its masks, each on the grid of its stack."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from node.dicom.stack import Stack
from node.dicom.wording import name_finding
from node.errors import EncodingError
from pipelines.terms import Box, Mask, Result, Segment

BOX_COLOR = (255, 190, 40)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A segment, or the box of a finding that has no segment. key: of the one or the other; mask: (k, j, i)."""

    key: str
    label: str
    color: tuple[int, int, int]
    mask: Mask


def read_parts(stack: Stack, result: Result) -> Iterator[Part]:
    """The segments of `result`, then the boxes of what was found; one mask at a time, for there may be many.

    Raises EncodingError that names the segment or finding which is not on the grid of `stack`.
    """
    for segment in result.segments:
        yield Part(segment.key, segment.label, segment.color, get_mask(segment, stack))
    for finding in result.findings:
        if finding.box is not None and finding.segment_key is None and not finding.absent:
            mask = _fill_box(finding.box, stack, finding.key)
            yield Part(finding.key, name_finding(finding, result), BOX_COLOR, mask)


def get_mask(segment: Segment, stack: Stack) -> Mask:
    """bool, (k, j, i) of `stack`; raises EncodingError that names the segment when its mask is anything else."""
    if segment.shape != stack.shape:
        raise EncodingError(f"mask of {segment.key!r} has shape {segment.shape}, its stack {stack.shape}")
    mask = segment.mask
    if mask.dtype != np.bool_:
        raise EncodingError(f"mask of {segment.key!r} is {mask.dtype}, not bool")
    return mask


def _fill_box(box: Box, stack: Stack, key: str) -> Mask:
    """The voxels whose centers lie in `box`."""
    mask = np.zeros(stack.shape, dtype=bool)
    sides = [
        slice(max(0, int(np.ceil(low))), max(0, int(np.floor(high)) + 1))
        for low, high in zip(box.low, box.high, strict=True)
    ]
    mask[tuple(sides)] = True
    if not mask.any():
        raise EncodingError(f"the box of finding {key!r} holds no voxel of its stack")
    return mask
