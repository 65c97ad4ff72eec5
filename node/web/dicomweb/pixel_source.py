"""The pixel data of one instance, frame by frame, read from where it lies in the file (PS3.5 section 8, annex A)."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from node.dicom.header import DAMAGE, count_frames, find_value, is_damage
from node.dicom.pixels import PLUGINS
from node.web.dicomweb.problem import Problem

ELEMENTS = {0x7FE00010: "PixelData", 0x7FE00008: "FloatPixelData", 0x7FE00009: "DoubleFloatPixelData"}
UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class PixelSource:
    """start, length: of the pixel data in the file at `path`, or in `held` where the file is deflated as a whole;
    UNDEFINED length for encapsulated frames."""

    path: Path
    header: Dataset
    syntax: UID
    start: int
    length: int
    held: bytes | None = None

    @property
    def count(self) -> int:
        """Number of Frames."""
        return count_frames(self.header)

    @property
    def is_encapsulated(self) -> bool:
        return self.length == UNDEFINED

    def read_stored(self, number: int) -> bytes:
        """Frame `number` (from 1) as it is stored: a codestream, or samples in the byte order of the file, from the
        first bit of the frame on. Raises Problem 404 where there is no such frame, 500 where it is damaged."""
        self._check(number)
        with self._open() as file:
            if self.is_encapsulated:
                file.seek(self.start)
                try:
                    offsets = self._read_extended()
                    return get_frame(file, number - 1, number_of_frames=self.count, extended_offsets=offsets)
                except (*DAMAGE, OSError) as error:
                    raise self._damaged(error) from None
            return self._read_native(file, number)

    def read_plain(self, number: int) -> bytes:
        """Frame `number` decoded: little endian samples, as Explicit VR Little Endian holds them."""
        if not self.is_encapsulated:
            stored = self.read_stored(number)
            size = int(self.header.BitsAllocated) // 8
            swapped = self.syntax == ExplicitVRBigEndian and size > 1
            return np.frombuffer(stored, f">u{size}").byteswap().tobytes() if swapped else stored
        return self.decode(number, raw=True)[0]

    def decode(self, number: int, *, raw: bool) -> tuple[bytes, Mapping[str, str | int]]:
        """Frame `number` of encapsulated pixel data as little endian samples, and what they are, as pydicom names it:
        "photometric_interpretation" ... raw: in the colors that were compressed, else in RGB. Of the file that frame
        alone is read. Raises Problem like `read_stored`."""
        codestream = self.read_stored(number)
        plugin = PLUGINS.get(self.syntax, "") if find_value(self.header, "SamplesPerPixel") == 1 else ""
        try:
            frame = self._single_out(codestream)
            array, said = get_decoder(self.syntax).as_array(frame, index=0, raw=raw, decoding_plugin=plugin)
            return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes(), said
        except (*DAMAGE, OSError) as error:
            raise self._damaged(error) from None

    def read_at(self, start: int, size: int) -> bytes:
        """At most `size` bytes of pixel data that are not encapsulated, as they are stored, from the byte `start`."""
        with self._open() as file:
            file.seek(self.start + start)
            return file.read(min(size, self.length - start))

    def _single_out(self, codestream: bytes) -> Dataset:
        """An image of one frame."""
        one = self.header.group_dataset(0x0028)
        one.file_meta = self.header.file_meta
        one.NumberOfFrames = 1
        one.add_new(0x7FE00010, "OB", encapsulate([codestream]))
        return one

    def _read_native(self, file: BinaryIO, number: int) -> bytes:
        bits = self._count_bits()
        first = (number - 1) * bits
        start, end = first // 8, (first + bits + 7) // 8
        if end > self.length:
            raise Problem(500, f"the pixel data of instance {self.header.SOPInstanceUID} breaks off")
        file.seek(self.start + start)
        data = file.read(end - start)
        if len(data) < end - start:
            raise Problem(500, f"the pixel data of instance {self.header.SOPInstanceUID} breaks off")
        if first % 8 == 0 and bits % 8 == 0:
            return data
        # Frames of single bits follow each other without a gap (PS3.5 8.1.1).
        frame = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[first % 8 :][:bits]
        return np.packbits(frame, bitorder="little").tobytes()

    def _count_bits(self) -> int:
        size = [int(find_value(self.header, word) or 0) for word in ("Rows", "Columns", "BitsAllocated")]
        samples = int(find_value(self.header, "SamplesPerPixel") or 1)
        bits = size[0] * size[1] * size[2] * samples
        # Chrominance that is halved is stored so (PS3.3 C.7.6.3.1.2).
        return bits * 2 // 3 if find_value(self.header, "PhotometricInterpretation") == "YBR_FULL_422" else bits

    def _read_extended(self) -> tuple[bytes, bytes] | None:
        offsets, lengths = (find_value(self.header, f"ExtendedOffsetTable{end}") for end in ("", "Lengths"))
        return (offsets, lengths) if offsets and lengths else None

    def _open(self) -> BinaryIO:
        return self.path.open("rb") if self.held is None else io.BytesIO(self.held)

    def _check(self, number: int) -> None:
        if not 1 <= number <= self.count:
            raise Problem(404, f"instance {self.header.SOPInstanceUID} has {self.count} frames, not one of {number}")

    def _damaged(self, error: Exception) -> Exception:
        if not is_damage(error):
            return error
        name = self.syntax.name
        return Problem(500, f"instance {self.header.SOPInstanceUID}: {name} is not decoded ({type(error).__name__})")


def open_pixels(path: Path) -> PixelSource:
    """The pixel data in the file at `path`. Raises Problem 404 when it has none, 410 when the file is gone."""
    try:
        with path.open("rb") as file:
            header = dcmread(file, stop_before_pixels=True, force=True)
            syntax = UID(str(find_value(header.file_meta, "TransferSyntaxUID") or "1.2.840.10008.1.2"))
            if syntax == DeflatedExplicitVRLittleEndian:
                return _open_inflated(path, syntax)
            little = "big" if syntax == ExplicitVRBigEndian else "little"
            head = file.read(12)
            found = [tag for tag in ELEMENTS if _encode(tag, little) == head[:4]]
            if found and header.original_encoding[0]:
                return PixelSource(path, header, syntax, file.tell() - 4, int.from_bytes(head[4:8], "little"))
            if found:
                length = int.from_bytes(head[8:12], "big" if little == "big" else "little")
                return PixelSource(path, header, syntax, file.tell(), length)
    except FileNotFoundError:
        raise Problem(410, f"{path.stem} is no longer here") from None
    raise Problem(404, f"instance {find_value(header, 'SOPInstanceUID')} has no pixel data")


def _open_inflated(path: Path, syntax: UID) -> PixelSource:
    """A dataset that is deflated as a whole is inflated as a whole: the door has limited what it may become."""
    dataset = dcmread(path, force=True)
    for word in ELEMENTS.values():
        if word in dataset:
            data = bytes(dataset[word].value)
            return PixelSource(path, dataset, syntax, 0, len(data), data)
    raise Problem(404, f"instance {find_value(dataset, 'SOPInstanceUID')} has no pixel data")


def _encode(tag: int, order: str) -> bytes:
    pair: Sequence[int] = (tag >> 16, tag & 0xFFFF)
    return b"".join(number.to_bytes(2, "big" if order == "big" else "little") for number in pair)
