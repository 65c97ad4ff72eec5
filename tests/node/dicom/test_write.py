"""A file is whole or not there."""

import os
from pathlib import Path

import pydicom
import pytest
from pydicom.uid import SegmentationStorage

from node.dicom.context import new_object
from node.dicom.write import IMPLEMENTATION_CLASS_UID, write_dicom
from tests.results import make_author
from tests.series import make_series


def small_object():
    return new_object(make_series()[0], make_author(), SegmentationStorage, "SEG", "segmentation", 1, "small")


def test_a_file_says_who_wrote_it_and_how(tmp_path):
    ds = small_object()
    write_dicom(ds, tmp_path / "a.dcm")
    meta = pydicom.dcmread(tmp_path / "a.dcm").file_meta
    assert meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    assert meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert (meta.ImplementationClassUID, meta.ImplementationVersionName) == (IMPLEMENTATION_CLASS_UID, "WETREAD_0_1")
    assert IMPLEMENTATION_CLASS_UID.startswith("2.25.")


def test_a_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.dcm"
    write_dicom(small_object(), path)
    before = path.read_bytes()
    broken = small_object()
    broken.add(pydicom.DataElement("Rows", "US", "not a number", already_converted=True))
    with pytest.raises(Exception, match="integer"):
        write_dicom(broken, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux for the name of an open file")
def test_a_file_is_synced_before_it_gets_its_name_and_its_folder_after(tmp_path, monkeypatch):
    seen = []
    sync = os.fsync

    def watch(descriptor):
        seen.append((Path(f"/proc/self/fd/{descriptor}").readlink(), (tmp_path / "a.dcm").exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", watch)
    write_dicom(small_object(), tmp_path / "a.dcm")
    (file, named_before), (folder, named_after) = seen
    assert file.suffix == ".part" and not named_before
    assert folder == tmp_path and named_after
