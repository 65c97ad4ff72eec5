"""An instance in another transfer syntax than it is stored in (PS3.18 8.7.3.5.2).

It is written piece by piece into a file without a name: however long the pixel data are, a frame of them is in memory.
"""

import zlib
from collections.abc import Callable
from functools import partial
from io import SEEK_CUR
from pathlib import Path
from tempfile import TemporaryFile
from threading import BoundedSemaphore
from typing import IO

import numpy as np
from pydicom import DataElement, Dataset, dcmread, dcmwrite
from pydicom.filebase import DicomIO
from pydicom.filewriter import write_file_meta_info
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom import jpeg
from node.dicom.deflate import DEFLATED
from node.dicom.header import DAMAGE, is_damage
from node.dicom.identity import read_syntax
from node.dicom.pieces import Pieces
from node.errors import CannotUnderstand
from node.web.dicomweb.parts import CHUNK
from node.web.dicomweb.pixel_source import ELEMENTS, PixelSource, open_pixels
from node.web.dicomweb.problem import Problem

TARGETS = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
"""What everything that can be decoded is given in."""

WORDS = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8}
"""Bytes in a word of a VR that has a byte order (PS3.5 7.3)."""

IMPLICIT_VRS = {0x7FE00008: "OF", 0x7FE00009: "OD"}
"""Of pixel data in Implicit VR Little Endian, else OW (PS3.5 A.1)."""

LONGEST = 0xFFFFFFFE
"""Bytes of one value (PS3.5 7.1.1)."""

AT_ONCE = 4
"""Instances that are written at one moment; others wait."""

_turns = BoundedSemaphore(AT_ONCE)

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


def transcode(path: Path, target: str, folder: Path) -> IO[bytes]:
    """The Part 10 file at `path` in `target`, one of TARGETS. Lossless, and the uid stays: the samples are the same.

    An open file at its beginning that has no name; its bytes lie on the disk of `folder` until it is closed.
    Raises Problem 406 for pixel data that cannot be decoded, 410 when the file is gone.
    """
    try:
        with _turns:
            return _write(_read(path), UID(target), folder)
    except FileNotFoundError:
        raise Problem(410, f"{path.stem} is no longer here") from None
    except (*DAMAGE, OSError, CannotUnderstand, Problem) as error:
        if getattr(error, "status", 0) == 410 or (isinstance(error, OSError) and not is_damage(error)):
            raise
        raise Problem(406, f"{path.stem} cannot be had in {UID(target).name}: {_tell(error)}") from None


def _tell(error: Exception) -> str:
    """In words of ours: the parser's own may quote values of the dataset."""
    return error.detail if isinstance(error, Problem) else type(error).__name__


class _Made(Pieces):
    """Pieces that `make` makes."""

    def __init__(self, length: int, size: int, make: Callable[[int], bytes]) -> None:
        super().__init__(length, size)
        self._maker = make

    def _make(self, number: int) -> bytes:
        return self._maker(number)


def _read(path: Path) -> Dataset:
    """The dataset, little endian, with pixel data that are read, or decoded, when they are written."""
    syntax = UID(read_syntax(path)[0])
    if syntax in DEFLATED:
        return dcmread(path, force=True)  # inflated as a whole: the door has limited what it may become
    if not syntax.is_little_endian:
        dataset = dcmread(path, force=True)
        _swap(dataset)
        return dataset
    dataset = dcmread(path, force=True, defer_size=CHUNK)
    try:
        source = open_pixels(path)
    except Problem as problem:
        if problem.status != 404:
            raise
        return dataset  # a report, say
    tag = next((tag for tag in ELEMENTS if tag in dataset), 0)
    if not tag:
        raise ValueError("the pixel data has no end: the parser leaves nothing of it")
    vr = str(dataset.get_item(tag, keep_deferred=True).VR or IMPLICIT_VRS.get(tag, "OW"))
    del dataset[tag]
    if source.is_encapsulated:
        _decode(dataset, source)
    else:
        pieces = _Made(source.length, CHUNK, lambda n: source.read_at(n * CHUNK, CHUNK))
        dataset[tag] = DataElement(tag, vr, pieces)
    return dataset


def _decode(dataset: Dataset, source: PixelSource) -> None:
    """Encapsulated pixel data as samples, and what the header says of them."""
    first, described = source.decode(1, raw=False)
    length = len(first) * source.count
    if length > LONGEST:
        raise ValueError("decoded it is longer than a value may be")

    def make(n: int) -> bytes:
        if n == source.count:
            return b"\0"
        return source.decode(n + 1, raw=False)[0]

    vr = "OB" if dataset.BitsAllocated <= 8 else "OW"
    dataset[0x7FE00010] = DataElement(0x7FE00010, vr, _Made(length + length % 2, len(first), make))
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]
    dataset.PhotometricInterpretation = described["photometric_interpretation"]
    if int(described["samples_per_pixel"]) > 1:
        dataset.PlanarConfiguration = described["planar_configuration"]
    if "NumberOfFrames" in dataset:
        dataset.NumberOfFrames = source.count


def _write(dataset: Dataset, target: UID, folder: Path) -> IO[bytes]:
    out: IO[bytes] = TemporaryFile(dir=folder)  # noqa: SIM115  the caller closes it
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if target in DEFLATED else target
    dcmwrite(
        out,
        dataset,
        implicit_vr=target.is_implicit_VR,
        little_endian=True,
        overwrite=True,
        enforce_file_format=True,
    )
    if target in DEFLATED:
        with out as plain:
            out = _deflate(plain, dataset, folder)
    out.seek(0)
    return out


def _deflate(plain: IO[bytes], dataset: Dataset, folder: Path) -> IO[bytes]:
    """The file `plain`, Explicit VR Little Endian, with its dataset deflated to an even length (PS3.5 A.5)."""
    out = TemporaryFile(dir=folder)  # noqa: SIM115  the caller closes it
    plain.seek(0)
    head = plain.read(144)
    plain.seek(int.from_bytes(head[140:], "little"), SEEK_CUR)  # the rest of the File Meta Information (PS3.10 7.1)
    out.write(head[:132])
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    write_file_meta_info(DicomIO(out), dataset.file_meta)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    for piece in iter(partial(plain.read, CHUNK), b""):
        out.write(packer.compress(piece))
    out.write(packer.flush())
    out.write(b"\0" * (out.tell() % 2))
    return out


def _swap(dataset: Dataset) -> None:
    """Words to little endian: the parser leaves those of binary values as they came."""

    def swap(_: Dataset, element: DataElement) -> None:
        size = WORDS.get(element.VR)
        if size and isinstance(element.value, bytes):
            element.value = np.frombuffer(element.value, f">u{size}").byteswap().tobytes()

    dataset.walk(swap)
