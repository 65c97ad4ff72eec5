"""JPEG frames by libjpeg-turbo (imagecodecs): baseline, 12 bit extended and lossless, as a plugin of pydicom.

One permissively licensed decoder for 1.2.840.10008.1.2.4.50, .51, .57 and .70 (PS3.5 8.2.1); lossless frames come
out bit for bit at any precision and predictor.
"""

from typing import Any

import imagecodecs
import numpy as np
from pydicom.pixels.decoders.base import (
    DecodeRunner,
    JPEGBaseline8BitDecoder,
    JPEGExtended12BitDecoder,
    JPEGLosslessDecoder,
    JPEGLosslessSV1Decoder,
)

PLUGIN = "imagecodecs"
START_OF_SCAN, END_OF_IMAGE = b"\xff\xda", b"\xff\xd9"
"""Markers (ITU-T T.81 B.1.1.3). Neither occurs in entropy-coded data, where 0xFF is always stuffed."""
_DECODERS = (JPEGBaseline8BitDecoder, JPEGExtended12BitDecoder, JPEGLosslessDecoder, JPEGLosslessSV1Decoder)
DECODER_DEPENDENCIES = {decoder.UID: ("imagecodecs",) for decoder in _DECODERS}
"""Asked for by pydicom of every plugin module, like `is_available`."""


def is_available(uid: str) -> bool:
    """True for the transfer syntaxes that this plugin decodes."""
    return uid in DECODER_DEPENDENCIES


def decode_frame(source: bytes, runner: DecodeRunner) -> bytes:
    """The samples of one monochrome frame; tells `runner` how wide they are.

    Raises ValueError when the frame breaks off, where libjpeg-turbo would fill the rest with gray, or has another
    shape than the header says; what libjpeg-turbo raises is a RuntimeError. Color is left to other plugins.
    """
    if runner.samples_per_pixel != 1:
        raise NotImplementedError("color is not decoded here")
    if source.rfind(END_OF_IMAGE) < source.rfind(START_OF_SCAN):
        raise ValueError("the frame breaks off before its End of Image marker")
    samples: Any = imagecodecs.jpeg8_decode(source)
    if samples.shape != (runner.rows, runner.columns):
        raise ValueError(f"the frame is {samples.shape}, the header says {(runner.rows, runner.columns)}")
    runner.set_option("bits_allocated", samples.dtype.itemsize * 8)
    return bytes(np.ascontiguousarray(samples).tobytes())


def register() -> None:
    """Offer this plugin to pydicom, once a process; asking again changes nothing."""
    for decoder in _DECODERS:
        if PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, "decode_frame"))
