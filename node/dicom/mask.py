"""What of a result can be drawn: its masks, each on the grid of its stack."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from node.dicom.stack import Stack
from node.dicom.wording import name_finding
from node.errors import EncodingError
from pipelines.terms import Box, Code, Mask, Result, Segment

BOX_COLOR = (255, 190, 40)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A segment, or the box of a finding that has no segment. key: of the one or the other; mask: (k, j, i)."""

    key: str
    label: str
    color: tuple[int, int, int]
    mask: Mask


def read_parts(stack: Stack, result: Result) -> Iterator[Part]:
    """The segments of `result`, then the boxes of what was found, but those that lie around segments of the same kind;
    one mask at a time, for there may be many.

    Raises EncodingError that names the segment or finding which is not on the grid of `stack`.
    """
    around: dict[Code, list[Box]] = {}
    for segment in result.segments:
        mask = get_mask(segment, stack)
        if mask.any():
            around.setdefault(segment.kind, []).append(Box.around(mask))
        yield Part(segment.key, segment.label, segment.color, mask)
    for finding in result.findings:
        if finding.box is not None and finding.segment_key is None and not finding.absent:
            if _surrounds(finding.box, around.get(finding.concept, ())):
                continue
            mask = _fill_box(finding.box, stack, finding.key)
            yield Part(finding.key, name_finding(finding, result), BOX_COLOR, mask)


def _surrounds(box: Box, others: Sequence[Box]) -> bool:
    """Whether `box` is no place of its own: it holds all of `others`, of which there are some."""
    return bool(others) and all(
        (np.less_equal(box.low, other.low) & np.greater_equal(box.high, other.high)).all() for other in others
    )


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
