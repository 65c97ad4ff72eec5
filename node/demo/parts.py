"""Segments read from a BINARY Segmentation onto the grid of the images from which it was made (PS3.3 C.8.20)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from highdicom.color import CIELabColor
from numpy.typing import NDArray
from pydicom import Dataset

from node.dicom.overlay import Color, Mask
from node.dicom.stack import Stack

PALETTE: tuple[Color, ...] = ((230, 120, 60), (70, 160, 230), (110, 200, 90), (220, 90, 170), (235, 200, 60))
"""For segments that recommend no color."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A segment: its number and label, sRGB color, and mask (k, j, i) on the stack's grid."""

    number: int
    label: str
    color: Color
    mask: Mask


def read_parts(seg: Dataset, stack: Stack) -> list[Part]:
    """The segments of `seg` on the grid of `stack`, by number.

    Raises ValueError when `seg` is not BINARY, lies on another grid, or refers to an image outside of the stack.
    """
    if seg.get("SegmentationType") != "BINARY":
        raise ValueError(f"a montage shows BINARY segmentations, not {seg.get('SegmentationType')}")
    if (seg.Rows, seg.Columns) != stack.shape[1:]:
        raise ValueError(f"the segmentation is {seg.Rows} x {seg.Columns}, its images are {stack.shape[1:]}")
    parts = {int(item.SegmentNumber): _make_part(item, stack) for item in seg.SegmentSequence}
    for plane, group in zip(_unpack(seg), seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(_functional(seg, group, "SegmentIdentificationSequence").ReferencedSegmentNumber)
        _refuse_turned(_functional(seg, group, "PlaneOrientationSequence"), stack)
        parts[number].mask[_find_plane(seg, group, stack)] |= plane
    return [parts[number] for number in sorted(parts)]


def find_sources(seg: Dataset) -> set[str]:
    """SOP Instance UIDs of the images from which the frames of `seg` were derived."""
    groups = [*seg.get("SharedFunctionalGroupsSequence", ()), *seg.get("PerFrameFunctionalGroupsSequence", ())]
    return {str(source.ReferencedSOPInstanceUID) for group in groups for source in _sources(group)}


def _make_part(item: Dataset, stack: Stack) -> Part:
    number = int(item.SegmentNumber)
    value = item.get("RecommendedDisplayCIELabValue")
    color = CIELabColor.from_dicom_value(value).to_rgb() if value else PALETTE[(number - 1) % len(PALETTE)]
    return Part(number, str(item.SegmentLabel), color, np.zeros(stack.shape, dtype=bool))


def _unpack(seg: Dataset) -> NDArray[np.bool_]:
    """Frames (n, rows, columns): bits without a gap, the least significant first (PS3.5 8.1.1)."""
    count = int(seg.NumberOfFrames) * seg.Rows * seg.Columns
    bits = np.unpackbits(np.frombuffer(seg.PixelData, dtype=np.uint8), bitorder="little", count=count)
    return bits.reshape(int(seg.NumberOfFrames), seg.Rows, seg.Columns).astype(bool)


def _functional(seg: Dataset, group: Dataset, keyword: str) -> Dataset:
    """The item of a functional group: of the frame, else shared by all."""
    item: Dataset = (group.get(keyword) or seg.SharedFunctionalGroupsSequence[0][keyword].value)[0]
    return item


def _refuse_turned(item: Dataset, stack: Stack) -> None:
    row, column = stack.affine[:3, 2], stack.affine[:3, 1]
    axes = [*(row / np.linalg.norm(row)), *(column / np.linalg.norm(column))]
    if not np.allclose([float(v) for v in item.ImageOrientationPatient], axes, atol=1e-3):
        raise ValueError("the segmentation is turned against its images")


def _sources(group: Dataset) -> Iterator[Dataset]:
    for derivation in group.get("DerivationImageSequence", ()):
        yield from derivation.get("SourceImageSequence", ())


def _find_plane(seg: Dataset, group: Dataset, stack: Stack) -> int:
    """The plane k of the stack on which a frame lies: by its source image, else by its position."""
    for source in _sources(group):
        frame = int(np.atleast_1d(source.get("ReferencedFrameNumber") or 1)[0])
        for k, (index, number) in enumerate(stack.frames):
            if number == frame and stack.headers[index].SOPInstanceUID == source.ReferencedSOPInstanceUID:
                return k
        raise ValueError(f"the segmentation refers to an image that is not given: {source.ReferencedSOPInstanceUID}")
    position = [float(v) for v in _functional(seg, group, "PlanePositionSequence").ImagePositionPatient]
    k, j, i = (v.item() for v in np.linalg.solve(stack.affine, [*position, 1.0])[:3])
    if max(abs(j), abs(i), abs(k - round(k))) > 0.1 or not 0 <= round(k) < stack.shape[0]:
        raise ValueError("a frame of the segmentation lies on none of its images")
    plane: int = round(k)
    return plane
