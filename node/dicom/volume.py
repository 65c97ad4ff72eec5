"""From a stack to a volume: every voxel in its physical unit."""

import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.processing import apply_modality_lut

from node.dicom.header import Frame, find_frames
from node.dicom.pixels import Stored, keep_bits, read_planes
from node.dicom.stack import Stack
from node.errors import UnreadablePixels
from pipelines.terms import Volume

THREADS = min(4, os.cpu_count() or 1)
"""Reading, decoding and arithmetic run beside each other; parsing holds the interpreter's lock."""
PORTION = 64
"""Frames of a multi-frame image that are held as stored values at one time."""
SHARE = 8
"""Portions that a thread takes at once: handing over each plane by itself takes nearly as long as reading it."""
AIR_HU = -1024.0
"""What padding becomes in CT: the lower end of the 12 bit scale, so that no model meets -3024 HU."""
DENSEST_HU = 3071.0
"""Upper end of the 12 bit scale of Hounsfield units."""
PHYSICAL = ("CT", "PT")
"""Modalities whose rescaled values mean the same however they are to be displayed."""
EXACT = 2**24
"""Integers up to here are exact in float32."""


def load_volume(stack: Stack) -> Volume:
    """The voxels of `stack`, float32 (k, j, i), on its grid.

    Rescaled by each instance's, and of enhanced images each frame's, own Rescale Slope and Intercept or Modality LUT
    (PS3.3 C.11.1, C.7.6.16.2.9): CT in HU, PET in its Units, MR in what the scanner gives, 1 and 0 where it gives
    none. Computed in float64 where float32 would not be exact, then rounded once.
    Padding (PS3.3 C.7.5.1.1.2) of CT becomes -1024 HU, unless its declared value lies within -1024..3071 HU where it
    cannot be told from tissue. MONOCHROME1 (PS3.3 C.7.6.3.1.2) says how to display, not what is meant: CT and PET
    keep their values; in other modalities, which have no unit, stored values are inverted over the range of Bits
    Stored, so that bright is bright in all of them.
    Raises TruncatedInstance or UnreadablePixels naming the SOP Instance UID; ValueError for a grid that is none.
    """
    voxels = np.empty(stack.shape, np.float32)
    shares = _share_out(_portions(stack))
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(lambda share: _fill(voxels, stack, share), shares):
            pass
    return Volume(voxels, stack.affine, stack.frame_of_reference_uid, stack.modality)


def _portions(stack: Stack) -> list[list[int]]:
    """Planes that are read together: of one instance, and not so many that their stored values weigh."""
    planes: dict[int, list[int]] = defaultdict(list)
    for k, (index, _) in enumerate(stack.frames):
        planes[index].append(k)
    return [own[n : n + PORTION] for own in planes.values() for n in range(0, len(own), PORTION)]


def _share_out(portions: list[list[int]]) -> list[list[list[int]]]:
    """`portions` as they are handed to threads."""
    return [portions[n : n + SHARE] for n in range(0, len(portions), SHARE)]


def _fill(voxels: NDArray[np.float32], stack: Stack, share: list[list[int]]) -> None:
    """The planes of `share`, each portion of which is of one instance."""
    for planes in share:
        index = stack.frames[planes[0]][0]
        numbers = [stack.frames[k][1] for k in planes]
        header = stack.headers[index]
        frames = find_frames(header, numbers)
        for k, frame, stored in zip(planes, frames, read_planes(stack.paths[index], header, numbers), strict=True):
            if stored.shape != stack.shape[1:]:
                raise _unreadable(frame, f"it is {stored.shape}, the stack has planes of {stack.shape[1:]}")
            _convert(frame, stored, voxels[k])


def _convert(frame: Frame, stored: Stored, out: NDArray[np.float32]) -> None:
    """Stored values of one plane to values in their unit, into `out`; `stored` is used up."""
    if frame.get("PhotometricInterpretation") == "MONOCHROME1" and frame.get("Modality") not in PHYSICAL:
        np.invert(stored, out=stored)
        keep_bits(stored, int(frame.header.BitsStored))
    if frame.get("ModalityLUTSequence") is not None:
        out[:] = apply_modality_lut(stored, frame.header)
        return
    slope, intercept = _find_rescale(frame)
    if slope == 1 and _is_exact(stored, slope, intercept):
        np.add(stored, np.float32(intercept), out=out)
    elif _is_exact(stored, slope, intercept):
        np.multiply(stored, np.float32(slope), out=out)
        out += np.float32(intercept)
    else:
        out[:] = stored.astype(np.float64) * slope + intercept
    if frame.get("Modality") == "CT":
        _replace_padding(frame, stored, slope, intercept, out)


def _find_rescale(frame: Frame) -> tuple[float, float]:
    """(slope, intercept) of this very frame; 1 and 0 where absent, but not in CT, which would be no HU."""
    slope, intercept = frame.get("RescaleSlope"), frame.get("RescaleIntercept")
    if frame.get("Modality") == "CT" and (slope is None or intercept is None):
        raise _unreadable(frame, "it has no Rescale Slope and Intercept, so its values are no HU")
    try:
        found = float(1 if slope is None else slope), float(0 if intercept is None else intercept)
    except (TypeError, ValueError):
        raise _unreadable(frame, "its Rescale Slope or Intercept is no number") from None
    if not np.isfinite(found).all() or found[0] == 0:
        raise _unreadable(frame, f"its Rescale Slope is {found[0]} and its Intercept {found[1]}")
    return found


def _is_exact(stored: Stored, slope: float, intercept: float) -> bool:
    """True when slope and intercept are integers, and no value of this type leaves those that float32 holds."""
    largest = 2 ** (stored.dtype.itemsize * 8)
    whole = slope.is_integer() and intercept.is_integer()
    return whole and stored.dtype.itemsize <= 2 and abs(slope) * largest + abs(intercept) < EXACT


def _replace_padding(frame: Frame, stored: Stored, slope: float, intercept: float, out: NDArray[np.float32]) -> None:
    ends = [_to_stored(frame, keyword, stored) for keyword in ("PixelPaddingValue", "PixelPaddingRangeLimit")]
    given = [end for end in ends if end is not None]
    if ends[0] is None or any(AIR_HU <= end * slope + intercept <= DENSEST_HU for end in given):
        return
    first, last = min(given), max(given)
    padding = stored == first if first == last else (stored >= first) & (stored <= last)
    if padding.any():
        out[padding] = AIR_HU


def _to_stored(frame: Frame, keyword: str, stored: Stored) -> int | None:
    """The attribute as the value that it has among `stored`: written unsigned for signed pixels or with bits above
    Bits Stored, it is still the same pattern of bits."""
    value = frame.get(keyword)
    if not isinstance(value, int):
        return None
    bits = stored.dtype.itemsize * 8
    pattern = np.array([value % 2**bits], dtype=f"u{stored.dtype.itemsize}").view(stored.dtype)
    return int(keep_bits(pattern, min(int(frame.header.BitsStored), bits))[0])


def _unreadable(frame: Frame, why: str) -> UnreadablePixels:
    return UnreadablePixels(f"instance {frame.header.SOPInstanceUID}, frame {frame.number}: {why}")
