"""From a stack to voxels in their unit: exactly what the headers say, instance by instance."""

import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.errors import TruncatedInstance, UnreadablePixels
from tests.series import make_series, write_series


def stored(shape=(5, 16, 18), low=0, high=4000, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape).astype(np.int16)


def load(tmp_path, slices):
    (stack,), refusals = read_stacks(write_series(slices, tmp_path / "series"))
    assert not refusals
    return load_volume(stack)


def test_stored_values_become_hounsfield_units(tmp_path):
    voxels = stored()
    volume = load(tmp_path, make_series(voxels=voxels))
    np.testing.assert_array_equal(volume.voxels, voxels.astype(np.float32) - 1024)
    assert (volume.voxels.dtype, volume.modality, volume.frame_of_reference_uid) == (np.float32, "CT", "1.2.3.3")
    np.testing.assert_allclose(volume.spacing, (1.5, 0.8, 0.7))


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (-1, 0, 0, 0, 0.6, 0.8)])
def test_a_marked_voxel_is_where_the_standard_puts_it(tmp_path, orientation):
    voxels = stored(high=10)
    voxels[3, 11, 4] = 2000
    slices = make_series(voxels=voxels, orientation=orientation, spacing=(2.5, 0.9, 0.4))
    place = slices[3]
    x, y = np.array(orientation[:3]), np.array(orientation[3:])
    between_rows, between_columns = place.PixelSpacing
    expected = np.array(place.ImagePositionPatient, float) + x * between_columns * 4 + y * between_rows * 11
    volume = load(tmp_path, slices[::-1])
    found = np.unravel_index(volume.voxels.argmax(), volume.shape)
    np.testing.assert_allclose((volume.affine @ [*found, 1])[:3], expected, atol=1e-9)


def test_every_instance_has_its_own_rescale(tmp_path):
    voxels = stored(high=3000)
    slices = make_series(voxels=voxels)
    for k, ds in enumerate(slices):
        ds.RescaleSlope, ds.RescaleIntercept = 1 + k % 2, -1024 - 100 * k
    expected = np.stack([plane.astype(np.float32) * (1 + k % 2) - 1024 - 100 * k for k, plane in enumerate(voxels)])
    np.testing.assert_array_equal(load(tmp_path, slices).voxels, expected)


def test_a_fractional_slope_is_rounded_once(tmp_path):
    voxels = stored(low=0, high=32767)
    slices = make_series(voxels=voxels, modality="PT", RescaleIntercept=0.0)
    slopes = np.random.default_rng(2).uniform(0.1, 3, 5).round(9)
    for ds, slope in zip(slices, slopes, strict=True):
        ds.RescaleSlope, ds.EchoTime = slope, None
    expected = (voxels * slopes[:, None, None]).astype(np.float32)
    np.testing.assert_array_equal(load(tmp_path, slices).voxels, expected)


def test_an_mr_without_rescale_keeps_its_values(tmp_path):
    voxels = stored()
    np.testing.assert_array_equal(load(tmp_path, make_series(voxels=voxels, modality="MR")).voxels, voxels)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"RescaleIntercept": None}, "no HU"),
        ({"RescaleSlope": None}, "no HU"),
        ({"RescaleSlope": 0.0}, "Rescale Slope is 0"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "PALETTE COLOR"),
    ],
)
def test_a_ct_whose_values_mean_nothing_is_refused_by_name(tmp_path, changes, said):
    with pytest.raises(UnreadablePixels, match=said):
        load(tmp_path, make_series(**changes))


def test_a_modality_lut_is_applied(tmp_path):
    voxels = stored(high=4)
    slices = make_series(voxels=voxels, RescaleSlope=None, RescaleIntercept=None, RescaleType=None)
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [4, 0, 16])
    table.add_new("LUTData", "US", [10, 20, 40, 80])
    table.ModalityLUTType = "HU"
    for ds in slices:
        ds.ModalityLUTSequence = Sequence([table])
    np.testing.assert_array_equal(load(tmp_path, slices).voxels, np.array([10, 20, 40, 80])[voxels])


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_above_bits_stored_do_not_count(tmp_path, signed):
    voxels = stored(low=-2048 if signed else 0, high=2047)
    slices = make_series(voxels=voxels, BitsStored=12, HighBit=11, PixelRepresentation=signed)
    for ds, plane in zip(slices, voxels, strict=True):
        ds.PixelData = ((plane.astype(np.int32) & 0xFFF) | 0xA000).astype("<u2").tobytes()
    np.testing.assert_array_equal(load(tmp_path, slices).voxels, voxels.astype(np.float32) - 1024)


def test_monochrome1_says_how_to_display_a_ct_not_what_it_measures(tmp_path):
    voxels = stored()
    slices = make_series(voxels=voxels, PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_array_equal(load(tmp_path, slices).voxels, voxels.astype(np.float32) - 1024)


@pytest.mark.parametrize("signed", [0, 1])
def test_monochrome1_of_a_modality_without_unit_is_inverted_alike_in_all_planes(tmp_path, signed):
    low, high = (-2048, 2047) if signed else (0, 4095)
    voxels = stored(low=low, high=high)
    slices = make_series(voxels=voxels, modality="MR", BitsStored=12, HighBit=11, PixelRepresentation=signed)
    for ds, plane in zip(slices[::2], voxels[::2], strict=True):
        ds.PhotometricInterpretation = "MONOCHROME1"
        ds.PixelData = (low + high - plane).astype("<i2").tobytes()
    np.testing.assert_array_equal(load(tmp_path, slices).voxels, voxels)


@pytest.mark.parametrize(("value", "vr"), [(-2000, "SS"), (63536, "US")])
def test_padding_of_a_ct_becomes_air_however_its_value_is_written(tmp_path, value, vr):
    voxels = stored()
    voxels[:, :4] = -2000
    slices = make_series(voxels=voxels)
    for ds in slices:
        ds.add_new("PixelPaddingValue", vr, value)
    expected = voxels.astype(np.float32) - 1024
    expected[:, :4] = -1024
    np.testing.assert_array_equal(load(tmp_path, slices).voxels, expected)


def test_a_range_of_padding_becomes_air(tmp_path):
    voxels = stored(low=100)
    voxels[:, 0], voxels[:, 1] = -2000, -1990
    slices = make_series(voxels=voxels)
    for ds in slices:
        ds.add_new("PixelPaddingValue", "SS", -2000)
        ds.add_new("PixelPaddingRangeLimit", "SS", -1990)
    volume = load(tmp_path, slices)
    assert (volume.voxels[:, :2] == -1024).all()
    assert (volume.voxels[:, 2:] == voxels[:, 2:].astype(np.float32) - 1024).all()


def test_padding_that_cannot_be_told_from_tissue_is_left(tmp_path):
    voxels = stored()
    voxels[:, :4] = 0
    slices = make_series(voxels=voxels, RescaleIntercept=0.0)
    for ds in slices:
        ds.add_new("PixelPaddingValue", "SS", 0)
    assert (load(tmp_path, slices).voxels[:, :4] == 0).all()


def test_a_truncated_instance_is_named(tmp_path):
    slices = make_series()
    paths = write_series(slices, tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-200])
    (stack,), _ = read_stacks(paths)
    with pytest.raises(TruncatedInstance, match=slices[2].SOPInstanceUID):
        load_volume(stack)


def test_transfer_syntaxes_may_change_within_a_series(tmp_path):
    voxels = stored()
    slices = make_series(voxels=voxels)
    for ds, syntax in zip(slices[:2], (RLELossless, JPEGLSLossless), strict=True):
        ds.compress(syntax, generate_instance_uid=False)
    slices[3].file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    np.testing.assert_array_equal(load(tmp_path, slices).voxels, voxels.astype(np.float32) - 1024)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless], ids=lambda syntax: syntax.keyword)
def test_a_multi_frame_image_is_the_volume_of_its_single_frames(tmp_path, syntax):
    voxels = stored()
    slices = make_series(voxels=voxels)
    for k, ds in enumerate(slices):
        ds.RescaleIntercept = -1000 - k
    expected = load(tmp_path, slices)
    legacy = LegacyConvertedEnhancedCTImage(slices[::-1], "1.2.3.9", 9, generate_uid(), 1, transfer_syntax_uid=syntax)
    legacy.save_as(tmp_path / "legacy", enforce_file_format=True)
    (stack,), _ = read_stacks([tmp_path / "legacy"])
    volume = load_volume(stack)
    np.testing.assert_array_equal(volume.voxels, expected.voxels)
    np.testing.assert_allclose(volume.affine, expected.affine)


REAL = [
    "ct_chest_CMB-CRC_01068",
    "ct_chest_LungDx_A0001/series2_lung_kernel",
    "ct_chest_LungDx_A0001/series3_soft_kernel",
    "ct_chest_LungFCP_0001",
    "mr_brain_VS-SEG-001",
    "dcmqi_seg_sr/data/segmentations/ct-3slice",
    "dcmqi_seg_sr/data/segmentations/24x38x3/image",
]


@pytest.mark.parametrize("folder", REAL)
def test_real_voxels_are_what_pydicom_and_the_header_say(real_data, folder):
    (stack,), _ = read_stacks(sorted((real_data / folder).glob("*.dcm")))
    volume = load_volume(stack)
    for k in range(0, stack.shape[0], 9):
        ds = dcmread(stack.paths[k])
        expected = ds.pixel_array * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))
        if "PixelPaddingValue" in ds:  # -2000 in all of them, written as 63536 in one
            expected[ds.pixel_array == -2000] = -1024
        np.testing.assert_array_equal(volume.voxels[k], expected.astype(np.float32))
        np.testing.assert_allclose((volume.affine @ [k, 0, 0, 1])[:3], ds.ImagePositionPatient, atol=0.01)


@pytest.mark.parametrize("name", ["Philips/IM_0027_fMAP.dcm", "Siemens/XA10/6_2.dcm"])
def test_real_enhanced_frames_have_their_own_rescale(real_data, name):
    path = real_data / "mr_enhanced/In" / name
    stacks, _ = read_stacks([path])
    ds = dcmread(path)
    for stack in stacks:
        volume = load_volume(stack)
        for k, (_, number) in enumerate(stack.frames):
            groups = ds.PerFrameFunctionalGroupsSequence[number - 1]
            rescale = groups.PixelValueTransformationSequence[0]
            expected = ds.pixel_array[number - 1] * float(rescale.RescaleSlope) + float(rescale.RescaleIntercept)
            np.testing.assert_array_equal(volume.voxels[k], expected.astype(np.float32))
            position = groups.PlanePositionSequence[0].ImagePositionPatient
            np.testing.assert_allclose((volume.affine @ [k, 0, 0, 1])[:3], position, atol=0.01)


def test_a_real_legacy_conversion_is_the_volume_of_its_sources(real_data):
    folder = real_data / "dcmqi_seg_sr/data/segmentations/24x38x3"
    (one,), _ = read_stacks(sorted((folder / "image").glob("*.dcm")))
    (many,), _ = read_stacks([folder / "multiframe/mf.dcm"])
    np.testing.assert_array_equal(load_volume(many).voxels, load_volume(one).voxels)
    np.testing.assert_allclose(many.affine, one.affine)
