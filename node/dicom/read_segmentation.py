"""A BINARY Segmentation of ours read back: its segments as masks on the grid of a stack.

Everything is checked before the first mask is made, so that no mask can fail later; each is made when it is asked for,
since a hundred of them would not fit in memory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.uid import SegmentationStorage

from node.dicom.codes import find_code
from node.dicom.geometry import SAME_DIRECTION, SAME_SPACING, is_negligible
from node.dicom.header import DAMAGE, is_damage
from node.dicom.read_frames import read_frames
from node.dicom.stack import Stack
from pipelines.terms import Mask, Segment, Tracking

Planes = NDArray[np.intp]


class Unfit(ValueError):
    """The segmentation cannot be laid on the stack: it lies elsewhere, or cannot be read. The words quote no value."""


class SegmentsRead(Mapping[str, Segment]):
    """Segment key -> Segment, its mask bool (k, j, i) of the stack, made anew at each reading.

    kept: segments with what they need to be made: description, frame numbers (from 0), planes of the stack.
    bits: Pixel Data, one bit a pixel, least significant first, frames without a gap (PS3.5 8.1.1).
    """

    def __init__(
        self, kept: Mapping[str, tuple[Dataset, Planes, Planes]], bits: bytes, shape: tuple[int, int, int]
    ) -> None:
        self._kept, self._bits, self._shape = kept, np.frombuffer(bits, np.uint8), shape

    def __getitem__(self, key: str) -> Segment:
        item, frames, planes = self._kept[key]
        mask: Mask = np.zeros(self._shape, np.bool_)
        for frame, plane in zip(frames, planes, strict=True):
            mask[plane] |= self._unpack(int(frame))
        return _to_segment(key, item, mask)

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def _unpack(self, frame: int) -> Mask:
        """One frame, bool (row, column)."""
        _, rows, columns = self._shape
        start = frame * rows * columns
        held = self._bits[start // 8 : -(-(start + rows * columns) // 8)]
        pixels = np.unpackbits(held, bitorder="little")[start % 8 :][: rows * columns]
        return pixels.reshape(rows, columns).view(np.bool_)


def read_segmentation(path: Path, stack: Stack) -> SegmentsRead:
    """The segments at `path` on the grid of `stack`, by the key that follows the pipeline's name in their Tracking ID.

    Raises Unfit when frame of reference, matrix, orientation or pixel spacing is another, when a frame lies on no plane
    of `stack`, or when it is no BINARY Segmentation that can be read; OSError when the file cannot.
    """
    try:
        return _read(dcmread(path), stack)
    except Unfit:
        raise
    except (*DAMAGE, OSError) as error:
        if not is_damage(error):
            raise
        raise Unfit(f"its Segmentation cannot be read ({type(error).__name__})") from None


def _read(ds: Dataset, stack: Stack) -> SegmentsRead:
    if ds.SOPClassUID != SegmentationStorage or ds.SegmentationType != "BINARY" or ds.BitsAllocated != 1:
        raise Unfit("it made no BINARY Segmentation")
    _check_grid(ds, stack)
    frames = read_frames(ds)
    planes = _find_planes(frames.positions, stack)
    if len(planes) != ds.NumberOfFrames or len(ds.PixelData) * 8 < len(planes) * ds.Rows * ds.Columns:
        raise Unfit("the frames of its Segmentation are not all there")
    kept = {}
    for item in ds.SegmentSequence:
        own = np.flatnonzero(frames.segments == int(item.SegmentNumber))
        key = str(item.TrackingID).partition("/")[2] or str(item.TrackingID)
        _to_segment(key, item, np.zeros((1, 1, 1), np.bool_))
        kept[key] = (item, own, planes[own])
    return SegmentsRead(kept, ds.PixelData, stack.shape)


def _check_grid(ds: Dataset, stack: Stack) -> None:
    if str(ds.get("FrameOfReferenceUID", "")) != stack.frame_of_reference_uid:
        raise Unfit("they lie in another frame of reference")
    shared = ds.SharedFunctionalGroupsSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, np.float64)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, np.float64)
    row_step, column_step = stack.affine[:3, 1], stack.affine[:3, 2]
    own = np.array([np.linalg.norm(row_step), np.linalg.norm(column_step)])
    turned = np.abs(cosines - np.concatenate([column_step / own[1], row_step / own[0]])).max()
    if (ds.Rows, ds.Columns) != stack.shape[1:] or turned > SAME_DIRECTION:
        raise Unfit("they lie on images of another matrix or orientation")
    if (np.abs(spacing - own) > SAME_SPACING * own).any():
        raise Unfit("they lie on images of another pixel spacing")


def _find_planes(positions: NDArray[np.float64], stack: Stack) -> Planes:
    """Of each frame the plane of `stack` that it lies on."""
    places, which = np.unique(positions, axis=0, return_inverse=True)
    away = np.linalg.norm(places[:, None] - stack.positions[None], axis=-1)
    nearest = away.argmin(axis=1)
    farthest = float(away[np.arange(len(places)), nearest].max(initial=0.0))
    if not is_negligible(farthest, stack.affine[:3, 0]):  # not a number is not negligible either
        raise Unfit("they lie between the images")
    return np.asarray(nearest[which.reshape(-1)], dtype=np.intp)


def _to_segment(key: str, item: Dataset, mask: Mask) -> Segment:
    """Segment Description (PS3.3 C.8.20.4), as node.dicom.segmentation writes it. Raises Unfit."""
    category, kind = (
        find_code(next(iter(item.get(keyword) or []), None))
        for keyword in ("SegmentedPropertyCategoryCodeSequence", "SegmentedPropertyTypeCodeSequence")
    )
    if category is None or kind is None:
        raise Unfit("a segment does not say what it is")
    region = next(iter(item.get("AnatomicRegionSequence") or []), None)
    sided = region or item.SegmentedPropertyTypeCodeSequence[0]
    name = "AnatomicRegionModifierSequence" if region else "SegmentedPropertyTypeModifierCodeSequence"
    color = item.get("RecommendedDisplayCIELabValue")
    segment = Segment(
        key,
        str(item.SegmentLabel),
        category,
        kind,
        mask,
        site=find_code(region),
        laterality=find_code(next(iter(sided.get(name) or []), None)),
        tracking=Tracking(str(item.TrackingID), str(item.TrackingUID)),
    )
    return replace(segment, color=_to_rgb(color)) if color else segment


def _to_rgb(color: list[int]) -> tuple[int, int, int]:
    red, green, blue = hd.color.CIELabColor.from_dicom_value(list(color)).to_rgb(clip=True)
    return round(red), round(green), round(blue)
