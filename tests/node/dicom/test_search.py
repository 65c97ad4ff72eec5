"""The uids of any dataset are found, wherever they lie, and no dataset costs memory."""

import tracemalloc
import zlib

import pytest
from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from node.dicom.file_meta import encode_file_meta
from node.dicom.identity import read_identity
from node.errors import CannotUnderstand
from tests.series import make_series


def encode(dataset, syntax):
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = syntax.is_little_endian, syntax.is_implicit_VR
    write_dataset(buffer, dataset)
    if syntax != DeflatedExplicitVRLittleEndian:
        return buffer.getvalue()
    stream = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return stream.compress(buffer.getvalue()) + stream.flush()


def keep(folder, dataset, syntax, data=None):
    path = folder / "image.dcm"
    meta = encode_file_meta(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(syntax))
    path.write_bytes(meta + (encode(dataset, syntax) if data is None else data))
    return path


def make_long_way():
    """The uids lie behind a megabyte of text and sequences, undefined and nested."""
    image = make_series((1, 4, 4))[0]
    inner, outer = Dataset(), Dataset()
    inner.StudyInstanceUID, inner.TextValue = "9.9.1", "x" * 1_000_000
    inner.is_undefined_length_sequence_item = True
    outer.ReferencedSeriesSequence = [inner, inner]
    outer["ReferencedSeriesSequence"].is_undefined_length = True
    image.ProcedureCodeSequence = [outer]
    image["ProcedureCodeSequence"].is_undefined_length = True
    return image


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_uids_far_behind_are_found_without_keeping_what_is_before_them(tmp_path, syntax):
    image = make_long_way()
    path = keep(tmp_path, image, syntax)
    tracemalloc.start()
    identity = read_identity(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (identity.study_uid, identity.series_uid) == (image.StudyInstanceUID, image.SeriesInstanceUID)
    assert identity.sop_instance_uid == image.SOPInstanceUID
    assert peak < 1_000_000


def test_a_dataset_in_the_other_vr_encoding_than_it_says_is_understood(tmp_path):
    image = make_series((1, 4, 4))[0]
    path = keep(tmp_path, image, ImplicitVRLittleEndian, encode(image, ExplicitVRLittleEndian))
    assert read_identity(path).series_uid == image.SeriesInstanceUID


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 100, b"text that is no DICOM at all, but long enough to be taken for it"]
)
def test_what_is_no_dataset_is_refused(tmp_path, data):
    path = keep(tmp_path, make_series((1, 4, 4))[0], ExplicitVRLittleEndian, data)
    with pytest.raises(CannotUnderstand):
        read_identity(path)


def test_a_dataset_that_ends_before_its_uids_is_refused(tmp_path):
    image = make_series((1, 4, 4))[0]
    data = encode(image, ExplicitVRLittleEndian)
    end = data.index(image.SeriesInstanceUID.encode())
    with pytest.raises(CannotUnderstand):
        read_identity(keep(tmp_path, image, ExplicitVRLittleEndian, data[:end]))
