"""Frames of the JPEG family as a plugin of pydicom: libjpeg-turbo, CharLS and OpenJPEG by way of imagecodecs.

One permissively licensed package for all of PS3.5 8.2.1, 8.2.3, 8.2.4 and 8.2.14: baseline, 12 bit and lossless JPEG,
JPEG-LS, JPEG 2000 and HTJ2K. It works without the interpreter's lock, so that threads decode beside each other.
"""

from typing import Any

import imagecodecs
import numpy as np
from pydicom import uid
from pydicom.pixels.decoders.base import DecodeRunner, get_decoder

PLUGIN = "imagecodecs"
_JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
_JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
_JPEG_2000 = (uid.JPEG2000Lossless, uid.JPEG2000, uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
SYNTAXES = (*_JPEG, *_JPEG_LS, *_JPEG_2000)
DECODER_DEPENDENCIES = dict.fromkeys(SYNTAXES, ("imagecodecs",))
"""Asked for by pydicom of every plugin module, like `is_available`."""

_START_OF_SCAN, _END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
"""Markers (ITU-T T.81 B.1.1.3). Neither occurs in entropy-coded data, where 0xFF is always stuffed."""
_FRAME_HEADERS = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Second bytes of the markers that start a frame header, in JPEG and (0xF7) in JPEG-LS."""
_START_AND_SIZE = b"\xff\x4f\xff\x51"
"""How every JPEG 2000 codestream begins (ITU-T T.800 A.4.1, A.5.1)."""


def is_available(syntax: str) -> bool:
    """True for the transfer syntaxes that this plugin decodes."""
    return syntax in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """The samples of one monochrome frame, bit for bit where the syntax is lossless; tells `runner` their width.

    Raises ValueError when the frame breaks off, where libjpeg-turbo would fill the rest with gray, or has another size
    than the header says, before gigabytes are given to it; what the codecs raise is a RuntimeError. Color is left to
    other plugins.
    """
    if runner.samples_per_pixel != 1:
        raise NotImplementedError("color is not decoded here")
    syntax = runner.transfer_syntax
    size = _size_of_jpeg_2000(source) if syntax in _JPEG_2000 else _size_of_jpeg(source)
    if size != (runner.rows, runner.columns):
        raise ValueError(f"the frame is {size}, the header says {(runner.rows, runner.columns)}")
    samples = _decode(source, syntax)
    runner.set_option("bits_allocated", samples.dtype.itemsize * 8)
    return bytes(np.ascontiguousarray(samples).tobytes())


def register() -> None:
    """Offer this plugin to pydicom, once a process; asking again changes nothing."""
    for syntax in SYNTAXES:
        decoder = get_decoder(syntax)
        if PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, "decode_frame"))


def _decode(source: bytes, syntax: uid.UID) -> Any:
    if syntax in _JPEG_2000:
        return imagecodecs.jpeg2k_decode(source)
    if syntax in _JPEG_LS:
        return imagecodecs.jpegls_decode(source)
    if source.rfind(_END_OF_IMAGE) < source.rfind(_START_OF_SCAN):
        raise ValueError("the frame breaks off before its End of Image marker")
    return imagecodecs.jpeg8_decode(source)


def _size_of_jpeg(source: bytes) -> tuple[int, int] | None:
    """(rows, columns) in the frame header of a JPEG or JPEG-LS stream (ITU-T T.81 B.2.2); None when there is none."""
    place = 2
    while place + 9 <= len(source) and source[place] == 0xFF:
        if source[place + 1] in _FRAME_HEADERS:
            return int.from_bytes(source[place + 5 : place + 7]), int.from_bytes(source[place + 7 : place + 9])
        # 0xFF may be repeated before a marker; every other segment here tells its length.
        place += 1 if source[place + 1] == 0xFF else 2 + int.from_bytes(source[place + 2 : place + 4])
    return None


def _size_of_jpeg_2000(source: bytes) -> tuple[int, int] | None:
    """(rows, columns) of a JPEG 2000 codestream, which a file format may wrap; None when there is none."""
    start = source.find(_START_AND_SIZE)
    if start < 0 or start + 24 > len(source):
        return None
    right, bottom, left, top = (int.from_bytes(source[n : n + 4]) for n in range(start + 8, start + 24, 4))
    return bottom - top, right - left
