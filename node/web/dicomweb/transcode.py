"""An instance in another transfer syntax than it is stored in (PS3.18 8.7.3.5.2)."""

import io
from pathlib import Path

import numpy as np
from pydicom import DataElement, Dataset, dcmread, dcmwrite
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom import jpeg
from node.dicom.header import DAMAGE, find_value, is_damage
from node.dicom.pixels import PLUGINS
from node.web.dicomweb.problem import Problem

TARGETS = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
"""What everything that can be decoded is given in."""

WORDS = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
"""Bytes in a word of a VR that has a byte order (PS3.5 7.3)."""

jpeg.register()


def can_decode(syntax: str) -> bool:
    """Whether pixel data in `syntax` becomes samples here."""
    uid = UID(syntax)
    if not uid.is_encapsulated:
        return True
    try:
        return get_decoder(uid).is_available
    except NotImplementedError:
        return False


def transcode(path: Path, target: str) -> bytes:
    """The Part 10 file at `path` in `target`, one of TARGETS. Lossless, and the uid stays: the samples are the same.

    Raises Problem 406 for pixel data that cannot be decoded, 410 when the file is gone.
    """
    try:
        dataset = dcmread(path, force=True)
        if dataset.original_encoding[1] is False:
            _swap(dataset)
        syntax = UID(str(find_value(dataset.file_meta, "TransferSyntaxUID") or ImplicitVRLittleEndian))
        if syntax.is_encapsulated and "PixelData" in dataset:
            plugin = PLUGINS.get(syntax, "") if find_value(dataset, "SamplesPerPixel") == 1 else ""
            dataset.decompress(decoding_plugin=plugin, generate_instance_uid=False)
        dataset.file_meta.TransferSyntaxUID = UID(target)
        out = io.BytesIO()
        dcmwrite(
            out,
            dataset,
            implicit_vr=target == ImplicitVRLittleEndian,
            little_endian=True,
            overwrite=True,
            enforce_file_format=True,
        )
        return out.getvalue()
    except FileNotFoundError:
        raise Problem(410, f"{path.stem} is no longer here") from None
    except (*DAMAGE, OSError) as error:
        if not is_damage(error):
            raise
        raise Problem(406, f"{path.stem} cannot be had in {UID(target).name} ({type(error).__name__})") from None


def _swap(dataset: Dataset) -> None:
    """Words to little endian: the parser leaves those of binary values as they came."""

    def swap(_: Dataset, element: DataElement) -> None:
        size = WORDS.get(element.VR)
        if size and isinstance(element.value, bytes):
            element.value = np.frombuffer(element.value, f">u{size}").byteswap().tobytes()

    dataset.walk(swap)
