"""What an instance says of itself: tolerant of damage, strict about identity."""

import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from node.dicom.header import find_frames, read_header
from node.errors import CannotUnderstand, RefusedInstance
from tests.series import make_series


def save(ds, path):
    ds.save_as(path, enforce_file_format=True)
    return path


def make_legacy(slices):
    """The slices as one Legacy Converted Enhanced CT, which numbers its frames by their position."""
    return LegacyConvertedEnhancedCTImage(slices, "1.2.3.9", 9, generate_uid(), 1)


def test_a_header_has_everything_but_pixel_data(tmp_path):
    (ds, *_) = make_series()
    header = read_header(save(ds, tmp_path / "a"))
    assert "PixelData" not in header
    assert {e.keyword for e in ds} - {e.keyword for e in header} == {"PixelData"}
    assert header.file_meta.TransferSyntaxUID == ds.file_meta.TransferSyntaxUID


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"Dear colleague,\n" * 40, b"MZ" + bytes(range(256)) * 9])
def test_what_is_no_dicom_is_refused_by_name(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(CannotUnderstand, match="no DICOM dataset") as caught:
        read_header(tmp_path / "a")
    assert isinstance(caught.value, RefusedInstance)
    assert caught.value.status == 0xC000


def test_a_file_that_is_not_there_is_no_fault_of_an_instance(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "nowhere")


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_dataset_without_its_identity_is_refused(tmp_path, keyword):
    (ds, *_) = make_series()
    setattr(ds, keyword, "")
    ds.save_as(tmp_path / "a")
    with pytest.raises(CannotUnderstand, match=keyword) as caught:
        read_header(tmp_path / "a")
    assert "Test^Pat" not in str(caught.value)


def test_a_dataset_without_preamble_and_meta_information_is_read(tmp_path):
    (ds, *_) = make_series()
    save(ds, tmp_path / "a")
    with (tmp_path / "b").open("wb") as file:
        whole = (tmp_path / "a").read_bytes()
        file.write(whole[132 + 12 + dcmread(tmp_path / "a").file_meta.FileMetaInformationGroupLength :])
    assert read_header(tmp_path / "b").SOPInstanceUID == ds.SOPInstanceUID


def test_a_value_that_cannot_be_read_is_as_good_as_absent(tmp_path):
    (ds, *_) = make_series()
    path = save(ds, tmp_path / "a")
    path.write_bytes(path.read_bytes().replace(b"-1024.0 ", b"much too"))
    (frame,) = find_frames(read_header(path))
    assert frame.get("RescaleIntercept") is None
    assert frame.get("RescaleSlope") == 1
    assert frame.get("PatientComments") is None


def test_a_multi_frame_header_keeps_its_functional_groups(tmp_path):
    slices = make_series(shape=(4, 8, 9))
    header = read_header(save(make_legacy(slices), tmp_path / "a"))
    frames = find_frames(header)
    assert [frame.number for frame in frames] == [1, 2, 3, 4]
    positions = {tuple(frame.get("ImagePositionPatient")) for frame in frames}
    assert positions == {tuple(ds.ImagePositionPatient) for ds in slices}
    assert all(frame.get("PixelSpacing") == [0.8, 0.7] for frame in frames)
    assert frames[2].get("Modality") == "CT"


def test_a_frame_speaks_for_itself_before_it_shares_and_private_groups_are_not_asked():
    def group(**values):
        ds = Dataset()
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        return Sequence([ds])

    header, own, shared = Dataset(), Dataset(), Dataset()
    own.add_new(0x20051000, "LO", "MAKER")
    own.add_new(0x2005100F, "SQ", group(EffectiveEchoTime=99.0, FlipAngle=7.0))
    own.MREchoSequence = group(EffectiveEchoTime=2.5)
    shared.MREchoSequence = group(EffectiveEchoTime=80.0)
    shared.PixelMeasuresSequence = group(PixelSpacing=[1.0, 2.0])
    header.EffectiveEchoTime, header.Modality = 1.0, "MR"
    header.PerFrameFunctionalGroupsSequence = Sequence([own, Dataset()])
    header.SharedFunctionalGroupsSequence = Sequence([shared])
    first, second = find_frames(header)
    assert first.get("EffectiveEchoTime") == 2.5
    assert second.get("EffectiveEchoTime") == 80.0
    assert first.get("PixelSpacing") == [1.0, 2.0]
    assert (first.get("FlipAngle"), first.get("Modality")) == (None, "MR")
    assert find_frames(header, [2])[0].get("EffectiveEchoTime") == 80.0
