"""Stored values of the frames of an instance, whatever transfer syntax holds them (PS3.5 section 8)."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import generate_fragments
from pydicom.pixels import get_decoder

from node.dicom import jpeg
from node.dicom.header import DAMAGE, count_frames
from node.errors import TruncatedInstance, UnreadablePixels

Stored = NDArray[np.signedinteger] | NDArray[np.unsignedinteger]

jpeg.register()

PLUGINS = {
    uid.JPEGBaseline8Bit: jpeg.PLUGIN,
    uid.JPEGExtended12Bit: jpeg.PLUGIN,
    uid.JPEGLossless: jpeg.PLUGIN,
    uid.JPEGLosslessSV1: jpeg.PLUGIN,
    uid.JPEGLSLossless: "pyjpegls",
    uid.JPEGLSNearLossless: "pyjpegls",
    uid.JPEG2000Lossless: "pylibjpeg",
    uid.JPEG2000: "pylibjpeg",
    uid.HTJ2KLossless: "pylibjpeg",
    uid.HTJ2KLosslessRPCL: "pylibjpeg",
    uid.HTJ2K: "pylibjpeg",
    uid.RLELossless: "pydicom",
}
"""The one decoder for each compressed transfer syntax: what else happens to be installed changes no voxel."""
