"""A made series is valid DICOM, says that it was made, and reads back as what was written."""

from datetime import UTC, datetime

import numpy as np
import pydicom
import pytest

from node.demo.series import Picture, write_series
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from tests.judges import dciodvfy_errors

WHEN = datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)


def make_affine(row, column, plane, spacing, origin):
    affine = np.eye(4)
    affine[:3] = np.stack(
        [np.array(plane) * spacing[0], np.array(column) * spacing[1], np.array(row) * spacing[2], origin], 1
    )
    return affine


AXIAL = make_affine((1, 0, 0), (0, 1, 0), (0, 0, 1), (2.5, 0.8, 0.7), (-10.5, -20.25, 30))
OBLIQUE = make_affine((0.8, 0.6, 0), (0, 0, -1), (-0.6, 0.8, 0), (1.1, 0.9, 0.9), (1 / 3, -20, 30))


def make_picture(modality, affine=AXIAL):
    voxels = np.random.default_rng(1).integers(-1024 if modality == "CT" else 0, 2000, (6, 20, 24)).astype(np.int16)
    return Picture(voxels, affine, modality, "Chest" if modality == "CT" else "Head", "CHEST", "made for a test")


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.judge
def test_a_validator_that_no_one_here_wrote_finds_no_error(tmp_path, modality):
    for path in write_series(make_picture(modality), tmp_path, "run", WHEN):
        assert dciodvfy_errors(path) == []


@pytest.mark.parametrize("affine", [AXIAL, OBLIQUE], ids=["axial", "oblique"])
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_a_series_reads_back_as_what_was_written(tmp_path, modality, affine):
    picture = make_picture(modality, affine)
    (stack,), refused = read_stacks(write_series(picture, tmp_path, "run", WHEN))
    assert refused == []
    volume = load_volume(stack)
    assert volume.modality == modality
    if np.sign(volume.affine[:3, 0] @ affine[:3, 0]) < 0:
        volume_voxels, first = volume.voxels[::-1], volume.affine @ (len(picture.voxels) - 1, 0, 0, 1)
    else:
        volume_voxels, first = volume.voxels, volume.affine @ (0, 0, 0, 1)
    np.testing.assert_array_equal(volume_voxels, picture.voxels)
    np.testing.assert_allclose(first[:3], affine[:3, 3], atol=1e-4)
    np.testing.assert_allclose(volume.affine[:3, 1:3], affine[:3, 1:3], atol=1e-5)


def test_nobody_can_take_it_for_a_patient(tmp_path):
    image = pydicom.dcmread(write_series(make_picture("CT"), tmp_path, "run", WHEN)[0])
    assert image.PatientName == "Wetread^Demo Chest"
    assert image.PatientID.startswith("WETREAD-DEMO-")
    assert image.StudyDescription == "Wetread demo: no patient"
    assert (image.PatientSex, image.StudyDate, image.StudyTime) == ("O", "20240506", "070809")
    assert image.SpecificCharacterSet == "ISO_IR 192"


def test_a_rerun_makes_the_same_files_and_another_run_another_study(tmp_path):
    picture = make_picture("MR")
    once, again, other = (
        write_series(picture, tmp_path / name, run, WHEN) for name, run in (("a", "1"), ("b", "1"), ("c", "2"))
    )
    assert [path.read_bytes() for path in once] == [path.read_bytes() for path in again]
    first, second = pydicom.dcmread(once[0]), pydicom.dcmread(other[0])
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "FrameOfReferenceUID", "PatientID"):
        assert first[keyword].value != second[keyword].value


def test_every_image_has_a_uid_of_its_own(tmp_path):
    paths = write_series(make_picture("CT"), tmp_path, "run", WHEN)
    assert len({pydicom.dcmread(path).SOPInstanceUID for path in paths}) == len(paths) == 6


def test_sheared_axes_are_refused(tmp_path):
    sheared = AXIAL.copy()
    sheared[0, 1] = 0.3
    with pytest.raises(ValueError, match="right angles"):
        write_series(make_picture("CT", sheared), tmp_path, "run", WHEN)


def test_another_modality_is_refused(tmp_path):
    with pytest.raises(ValueError, match="CT or MR"):
        write_series(Picture(np.zeros((3, 4, 5), np.int16), AXIAL, "US", "Heart", "HEART", ""), tmp_path, "run", WHEN)
