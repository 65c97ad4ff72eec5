"""A dataset as a Part 10 file that is either whole on disk or not there at all."""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from node.dicom.packed_frames import PackedFrames
from node.dicom.plain import ease
from node.durable import sync_directory
from node.errors import EncodingError
from node.model.uid import derive_uid

PIXEL_DATA = struct.Struct("<HH2sHI")
"""The head of an element of ours in Explicit VR Little Endian (PS3.5 7.1.2)."""

IMPLEMENTATION_CLASS_UID = UID(derive_uid("implementation"))
IMPLEMENTATION_VERSION_NAME = "WETREAD_0_1"


def new_file_meta(
    sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str = ExplicitVRLittleEndian
) -> FileMetaDataset:
    """File Meta Information (PS3.10 7.1) of an object of ours."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\0\1"
    meta.MediaStorageSOPClassUID = UID(sop_class_uid)
    meta.MediaStorageSOPInstanceUID = UID(sop_instance_uid)
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    return meta


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A Part 10 file that is not there yet: `head` is all of it, or all before the value of Pixel Data, `frames`."""

    path: Path
    head: Dataset
    frames: PackedFrames | None

    @property
    def part(self) -> Path:
        """The hidden file that it is written to, beside `path`."""
        return self.path.with_name(f".{self.path.name}.{os.getpid()}.part")

    def write(self) -> None:
        """Writes the part. Raises OSError; nothing is left then."""
        try:
            with self.part.open("wb") as file:
                self._write_head(file)
                file.flush()
                if self.frames is not None:
                    self.frames.write_at(file.fileno(), file.tell())
        except BaseException:
            self.drop()
            raise

    def sync(self) -> None:
        """What was written outlives a power loss. Raises OSError; nothing is left then."""
        try:
            with self.part.open("rb") as file:
                os.fsync(file.fileno())
        except BaseException:
            self.drop()
            raise

    def _write_head(self, file: IO[bytes]) -> None:
        dcmwrite(file, self.head, enforce_file_format=True, implicit_vr=False, little_endian=True)
        if self.frames is not None:
            file.write(PIXEL_DATA.pack(0x7FE0, 0x0010, b"OB", 0, len(self.frames)))

    def keep(self) -> None:
        """The part becomes the file; sync_directory(path.parent) afterwards makes its name outlive a power loss."""
        self.part.replace(self.path)

    def drop(self) -> None:
        """No part is left."""
        self.part.unlink(missing_ok=True)


def draft_dicom(dataset: Dataset, path: Path) -> Draft:
    """`dataset` as the file `path` will be (PS3.10).

    In Explicit VR Little Endian, or in the transfer syntax of its file_meta where that has encapsulated pixels.
    Raw elements of a dataset that declares itself read in this encoding are taken as they are; PackedFrames are read
    when the draft is written, so that neither is held in memory as objects or as a whole.
    """
    whole = ease(dataset)
    whole.file_meta = new_file_meta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), _find_syntax(dataset))
    whole.preamble = b"\0" * 128
    frames = _take_stream(whole)
    return Draft(path, whole, frames)


def write_dicom(dataset: Dataset, path: Path) -> None:
    """Write `dataset` to `path`, see draft_dicom; a reader never meets a part of it.

    Written beside, synced, renamed; then the folder is synced, so that a crash after the return loses nothing.
    Raises OSError; nothing is left beside `path` then.
    """
    draft = draft_dicom(dataset, path)
    draft.write()
    draft.sync()
    draft.keep()
    sync_directory(path.parent)


def _take_stream(whole: Dataset) -> PackedFrames | None:
    """Pixel Data that is a stream, taken from `whole`, whose last element it is."""
    if "PixelData" not in whole or not isinstance(whole["PixelData"].value, PackedFrames):
        return None
    frames: PackedFrames = whole["PixelData"].value
    if max(whole.keys()) != whole["PixelData"].tag:
        raise EncodingError("nothing may follow the Pixel Data of an object of ours")
    del whole["PixelData"]
    return frames


def _find_syntax(dataset: Dataset) -> UID:
    """The transfer syntax to write: encapsulated pixels are in theirs, all else is ours to choose."""
    meta = getattr(dataset, "file_meta", Dataset())
    syntax = UID(str(meta.get("TransferSyntaxUID", "")))
    known = syntax.is_transfer_syntax and not syntax.is_private
    return syntax if known and syntax.is_encapsulated else ExplicitVRLittleEndian
