"""Stored values of the frames of an instance, whatever transfer syntax holds them (PS3.5 section 8)."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, uid
from pydicom.pixels.decoders.base import get_decoder

from node.dicom import jpeg
from node.dicom.header import DAMAGE, count_frames, find_value, is_damage
from node.errors import TruncatedInstance, UnreadablePixels

Stored = NDArray[np.integer]

jpeg.register()

PLUGINS = {**dict.fromkeys(jpeg.SYNTAXES, jpeg.PLUGIN), uid.RLELossless: "pydicom"}
"""The one decoder for each compressed transfer syntax: what else happens to be installed changes no voxel."""
PLAIN = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian)
"""Transfer syntaxes whose samples lie in the file as they lie in memory."""
SAMPLE = ("BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel")
TYPES = {
    (bits, signed): np.dtype(f"<{'i' if signed else 'u'}{bits // 8}")
    for bits in (8, 16, 32)
    for signed in (False, True)
}
"""The type of a sample by Bits Allocated and Pixel Representation."""


def read_planes(path: Path, header: Dataset, frames: Sequence[int]) -> Iterator[Stored]:
    """Stored values of `frames` (numbers from 1) of the instance at `path`, in that order.

    Each is (rows, columns) in the integer type that Bits Allocated and Pixel Representation say, with what lies above
    Bits Stored (old overlays, junk) taken away and the sign extended. Nothing is rescaled.
    Raises TruncatedInstance when there are fewer bytes than the header says, UnreadablePixels when they are no
    monochrome integers or cannot be decoded; both name the SOP Instance UID.
    """
    dtype, bits_stored = _sample_type(header)
    plain = _read_plain(path, header, frames, dtype)
    for stored in _decode(path, header, frames) if plain is None else plain:
        yield keep_bits(stored, bits_stored)


def keep_bits(stored: Stored, bits_stored: int) -> Stored:
    """`stored` with its lowest `bits_stored` bits alone, the sign extended when the type is signed; in place."""
    shift = stored.dtype.itemsize * 8 - bits_stored
    if shift > 0:
        stored <<= shift
        stored >>= shift
    return stored


def _sample_type(header: Dataset) -> tuple[np.dtype[np.integer], int]:
    """The integer type of a sample, and Bits Stored; raises UnreadablePixels for what is no monochrome integer."""
    try:
        allocated, stored, signed, samples = [int(find_value(header, keyword)) for keyword in SAMPLE]
    except (TypeError, ValueError):
        raise _unreadable(header, "its Image Pixel attributes are absent or make no sense") from None
    kind = find_value(header, "PhotometricInterpretation")
    if samples != 1 or kind not in ("MONOCHROME1", "MONOCHROME2"):
        raise _unreadable(header, f"{kind} with {samples} samples per pixel is no monochrome image")
    if allocated not in (8, 16, 32) or not 1 <= stored <= allocated:
        raise _unreadable(header, f"{stored} of {allocated} bits per sample are no integer that is read here")
    return TYPES[allocated, bool(signed)], stored


def _read_plain(path: Path, header: Dataset, frames: Sequence[int], dtype: np.dtype[np.integer]) -> list[Stored] | None:
    """Frames read straight into their arrays; None when the file does not end with exactly the pixel data that the
    header announces, unencoded: then a parser has to look."""
    if _transfer_syntax(header) not in PLAIN:
        return None
    shape = _shape(header)
    size = shape[0] * shape[1] * dtype.itemsize
    with path.open("rb", buffering=0) as file:
        start = _find_plain(file.fileno(), size * count_frames(header), header)
        if start is None:
            return None
        planes: list[Stored] = []
        for frame in frames:
            plane: Stored = np.empty(shape, dtype)
            if os.preadv(file.fileno(), [plane.data], start + (frame - 1) * size) != size:
                return None
            planes.append(plane)
        return planes


def _find_plain(descriptor: int, length: int, header: Dataset) -> int | None:
    """Where `length` bytes of pixel data start that are the last element of the file; None when they are not.

    Found from the end: the element's head (PS3.5 7.1.2, 7.1.3) must stand right before them, so that nothing of the
    header has to be parsed again.
    """
    padded = length + length % 2
    start = os.fstat(descriptor).st_size - padded
    head = os.pread(descriptor, 12, start - 12) if start >= 12 else b""
    tag, announced = b"\xe0\x7f\x10\x00", padded.to_bytes(4, "little")
    if _transfer_syntax(header) == uid.ImplicitVRLittleEndian:
        found = head[4:] == tag + announced
    else:
        found = head in (tag + b"OW\0\0" + announced, tag + b"OB\0\0" + announced)
    return start if found else None


def _decode(path: Path, header: Dataset, frames: Sequence[int]) -> Iterator[Stored]:
    """Frames by way of pydicom, which knows every layout, and the decoder for their transfer syntax."""
    syntax = _transfer_syntax(header)
    try:
        dataset = dcmread(path, force=True)
        _refuse_truncated(dataset, header, path)
        arrays = get_decoder(syntax).iter_array(
            dataset,
            indices=[frame - 1 for frame in frames],
            raw=True,
            decoding_plugin=PLUGINS.get(syntax, ""),
            correct_unused_bits=False,
        )
        for array, _ in arrays:
            yield array.astype(array.dtype.newbyteorder("="), copy=False)
    except (*DAMAGE, OSError) as error:
        if not is_damage(error):
            raise
        why = " ".join(str(error).split())
        raise _unreadable(header, f"{syntax.name} is not decoded: {type(error).__name__}: {why}") from error


def _refuse_truncated(dataset: Dataset, header: Dataset, path: Path) -> None:
    """Raises TruncatedInstance when pixel data is absent, breaks off, or is shorter than the header says.

    Of a sequence of fragments without an end the parser leaves nothing, not even the header read before it.
    """
    held = len(dataset.get("PixelData") or b"")
    rows, columns = _shape(header)
    expected = rows * columns * int(header.BitsAllocated) // 8 * count_frames(header)
    if held >= expected or (held and _transfer_syntax(header).is_encapsulated):
        return
    raise TruncatedInstance(
        f"instance {header.SOPInstanceUID}: its pixel data is absent or breaks off: {held} bytes are read, decoded it"
        f" has {expected}, the file {path.stat().st_size}"
    )


def _shape(header: Dataset) -> tuple[int, int]:
    """(rows, columns) of a frame."""
    try:
        return int(find_value(header, "Rows")), int(find_value(header, "Columns"))
    except (TypeError, ValueError):
        raise _unreadable(header, "its Rows or Columns are absent or make no sense") from None


def _transfer_syntax(header: Dataset) -> uid.UID:
    """The declared transfer syntax; the one that the parser found where there is no declaration."""
    meta = getattr(header, "file_meta", None)
    declared = find_value(meta, "TransferSyntaxUID") if meta is not None else None
    if declared:
        return declared if isinstance(declared, uid.UID) else uid.UID(str(declared))
    implicit, little = header.original_encoding
    if implicit:
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian


def _unreadable(header: Dataset, why: str) -> UnreadablePixels:
    return UnreadablePixels(f"instance {header.get('SOPInstanceUID')}: {why}")
