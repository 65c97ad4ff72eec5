"""RLE Lossless frames (PS3.5 annex G): PackBits of each byte plane of an image, row by row."""

import struct

import imagecodecs
import numpy as np
from numpy.typing import NDArray

HEADER_BYTES = 64


def encode_run_length(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """One frame (row, column) of 8 or 16 bits: a header, then a segment for each byte plane, the highest first.

    No run crosses from one row to the next (PS3.5 G.3.1); a segment of odd length is padded (G.2).
    """
    planes = [image] if image.dtype == np.uint8 else [image >> 8, image & 0xFF]
    segments = [_encode_plane(plane.astype(np.uint8)) for plane in planes]
    ends = np.cumsum([HEADER_BYTES, *(len(segment) for segment in segments)])
    offsets = [int(end) for end in ends[:-1]]
    header = struct.pack("<16I", len(segments), *offsets, *[0] * (15 - len(segments)))
    return header + b"".join(segments)


def _encode_plane(plane: NDArray[np.uint8]) -> bytes:
    encoded = bytes(imagecodecs.packbits_encode(np.ascontiguousarray(plane)))
    return encoded + b"\0" * (len(encoded) % 2)
