"""From files to stacks: coarse groups first, finer ones only where planes collide, and a name for every refusal."""

import random

import numpy as np
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage, LegacyConvertedEnhancedMRImage
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import generate_uid

from node.dicom.stacking import read_stacks
from node.errors import (
    CannotUnderstand,
    DuplicateSlices,
    MissingSlices,
    MixedSeries,
    NoFrameOfReference,
    NoMatchingSeries,
    TiltedGantry,
    TooFewSlices,
    UnevenGeometry,
    UnreadablePixels,
)
from tests.series import make_series, make_slice, write_series


def stack_up(tmp_path, slices, seed=3):
    """The stacks and refusals of `slices` written in a random order."""
    paths = write_series(slices, tmp_path / "series")
    random.Random(seed).shuffle(paths)
    return read_stacks(paths)


def number(slices, start=1, **values):
    """Gives each slice an Instance Number and the n-th of each list of values."""
    for n, ds in enumerate(slices):
        ds.InstanceNumber = start + n
        for keyword, series in values.items():
            setattr(ds, keyword, series[n])
    return slices


def only_refusal(stacks, refusals):
    assert not stacks
    (refusal,) = refusals
    return refusal


@pytest.mark.parametrize(
    ("orientation", "name"),
    [
        ((1, 0, 0, 0, 1, 0), "axial"),
        ((0, 1, 0, 0, 0, -1), "sagittal"),
        ((1, 0, 0, 0, 0, -1), "coronal"),
        ((0.8, 0.6, 0, 0, 0, -1), "oblique"),
        ((-1, 0, 0, 0, 1, 0), "axial"),
    ],
)
@pytest.mark.parametrize("reverse", [False, True])
def test_planes_come_in_order_along_their_normal_however_they_arrive(tmp_path, orientation, name, reverse):
    slices = make_series(shape=(6, 8, 9), orientation=orientation)
    normal = np.cross(orientation[:3], orientation[3:])
    if reverse:
        slices = [make_slice(ds.pixel_array, -np.array(ds.ImagePositionPatient, float), orientation) for ds in slices]
    (stack,), refusals = stack_up(tmp_path, slices)
    assert not refusals
    assert (stack.orientation, stack.shape, stack.others) == (name, (6, 8, 9), ())
    depths = [np.array(header.ImagePositionPatient, float) @ normal for header in stack.headers]
    assert depths == sorted(depths)
    assert stack.frames == tuple((k, 1) for k in range(6))
    assert [read_stacks([path])[1][0].first.SOPInstanceUID for path in stack.paths] == [
        header.SOPInstanceUID for header in stack.headers
    ]
    np.testing.assert_allclose(stack.affine[:3, 3], np.array(stack.first.ImagePositionPatient, float))
    assert stack.affine[:3, 0] @ normal > 0


def test_files_of_the_same_instance_count_once(tmp_path):
    slices = make_series()
    paths = write_series(slices, tmp_path / "a") + write_series(slices, tmp_path / "b")
    (stack,), refusals = read_stacks(paths)
    assert (stack.shape[0], refusals) == (5, [])
    assert {path.parent.name for path in stack.paths} == {"a"}


def test_two_series_are_two_stacks_however_mixed(tmp_path):
    slices = make_series() + make_series(shape=(7, 4, 4), SeriesInstanceUID="1.2.3.20")
    stacks, refusals = stack_up(tmp_path, slices)
    assert {stack.series_uid: stack.shape[0] for stack in stacks} == {"1.2.3.2": 5, "1.2.3.20": 7}
    assert not refusals
    assert all(stack.others == () for stack in stacks)


def test_an_acquisition_number_of_each_plane_divides_no_good_stack(tmp_path):
    for numbers in (range(1, 9), [1, 1, 1, 2, 2, 2, 3, 3]):
        slices = number(make_series(shape=(8, 4, 4)), AcquisitionNumber=list(numbers))
        (stack,), refusals = stack_up(tmp_path / str(len(set(numbers))), slices)
        assert (stack.shape[0], refusals) == (8, [])


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("AcquisitionNumber", (1, 2)),
        ("EchoTime", (12.0, 90.0)),
        ("TemporalPositionIdentifier", (1, 2)),
        ("DiffusionBValue", (0.0, 1000.0)),
        ("ConvolutionKernel", ("B30f", "B70f")),
        ("ImageType", (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"])),
        ("AcquisitionTime", ("101500.25", "101511.75")),
    ],
)
def test_planes_at_the_same_positions_are_divided_by_what_differs(tmp_path, keyword, values):
    slices = [ds for value in values for ds in make_series(modality="MR", **{keyword: value})]
    stacks, refusals = stack_up(tmp_path, slices)
    assert not refusals
    assert [stack.shape[0] for stack in stacks] == [5, 5]
    for stack, value in zip(stacks, values, strict=True):
        assert {str(header[keyword].value) for header in stack.headers} == {
            str(make_slice(np.zeros((2, 2), np.int16), (0, 0, 0), **{keyword: value})[keyword].value)
        }
        assert stack.others == (f"5 more of the same series: 1 other stack, divided by {keyword}",)


def test_two_echoes_of_two_phases_are_four_stacks(tmp_path):
    slices = [
        ds
        for echo in (2.0, 80.0)
        for phase in (1, 2)
        for ds in make_series(modality="MR", EchoTime=echo, TemporalPositionIdentifier=phase)
    ]
    stacks, refusals = stack_up(tmp_path, slices)
    found = [(float(s.first.EchoTime), int(s.first.TemporalPositionIdentifier), s.shape[0]) for s in stacks]
    assert found == [(2.0, 1, 5), (2.0, 2, 5), (80.0, 1, 5), (80.0, 2, 5)]
    assert not refusals


def test_two_phases_at_shifted_positions_are_two_stacks(tmp_path):
    slices = make_series(spacing=(5.0, 1, 1), AcquisitionNumber=1)
    slices += make_series(spacing=(5.0, 1, 1), origin=(-10, -20, 31), AcquisitionNumber=2)
    stacks, refusals = stack_up(tmp_path, slices)
    assert [stack.shape[0] for stack in stacks] == [5, 5]
    assert not refusals


def test_a_plane_missing_between_two_blocks_is_not_divided_away(tmp_path):
    slices = make_series(shape=(10, 4, 4))
    number(slices, AcquisitionNumber=[1] * 5 + [2] * 5)
    del slices[5]
    refusal = only_refusal(*stack_up(tmp_path, slices))
    assert isinstance(refusal.error, MissingSlices)


def test_one_repeated_plane_leaves_the_stack_and_is_told(tmp_path):
    slices = make_series(AcquisitionNumber=1)
    slices.append(make_slice(np.ones((16, 18), np.int16), slices[2].ImagePositionPatient, AcquisitionNumber=2))
    (stack,), (refusal,) = stack_up(tmp_path, slices)
    assert stack.shape[0] == 5
    assert {int(header.AcquisitionNumber) for header in stack.headers} == {1}
    assert isinstance(refusal.error, TooFewSlices)
    assert stack.others == (
        "1 more of the same series: 1 images at 1 positions make no volume: at least 3 on one grid are needed",
    )


def test_different_images_at_one_position_that_nothing_tells_apart_are_refused(tmp_path):
    slices = [*make_series(), make_slice(np.ones((16, 18), np.int16), (-10, -20, 33))]
    refusal = only_refusal(*stack_up(tmp_path, slices))
    assert isinstance(refusal.error, DuplicateSlices)
    assert "2 different images lie at 33.00 mm" in str(refusal.error)
    assert "series 1.2.3.2:" in str(refusal.error)


def test_a_number_that_leaves_nothing_but_pairs_tells_nothing_apart(tmp_path):
    slices = make_series(shape=(6, 4, 4)) + make_series(shape=(6, 4, 4))
    for n, ds in enumerate(slices):
        ds.AcquisitionNumber = n // 2
    assert isinstance(only_refusal(*stack_up(tmp_path, slices)).error, DuplicateSlices)


def test_times_that_run_through_each_other_are_no_phases(tmp_path):
    slices = make_series() + make_series()
    for n, ds in enumerate(slices):
        ds.AcquisitionTime = f"1015{2 * (n % 5) + n // 5:02d}"
    assert isinstance(only_refusal(*stack_up(tmp_path, slices)).error, DuplicateSlices)


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_missing_slices_are_refused_by_name(tmp_path, lost):
    slices = make_series(shape=(9, 4, 4), spacing=(2.0, 1, 1))
    del slices[4 : 4 + lost]
    refusal = only_refusal(*stack_up(tmp_path, slices))
    assert isinstance(refusal.error, MissingSlices)
    assert f"{lost} of 9 planes missing, between 36.00 and {38 + 2 * lost:.2f} mm" in str(refusal.error)
    assert refusal.planes == 9 - lost


def test_a_tilted_gantry_is_refused_by_name(tmp_path):
    refusal = only_refusal(*stack_up(tmp_path, make_series(step=(0, 0.5, 2.5))))
    assert isinstance(refusal.error, TiltedGantry)


def test_uneven_planes_are_refused_by_name(tmp_path):
    slices = make_series()
    slices[2].ImagePositionPatient[2] += 0.4
    assert isinstance(only_refusal(*stack_up(tmp_path, slices)).error, UnevenGeometry)


def test_a_tilted_stack_that_is_allowed_says_so(tmp_path):
    slices = make_series(step=(0, 0.5, 2.5), orientation=(1, 0, 0, 0, 1, 0))
    (stack,), refusals = read_stacks(write_series(slices, tmp_path), max_tilt_degrees=12.0)
    assert not refusals
    assert stack.tilt_degrees == pytest.approx(np.degrees(np.arctan(0.2)))
    assert (stack.is_regular, stack.is_upright) == (True, False)
    np.testing.assert_allclose(stack.affine[:3, 0], [0, 0.5, 2.5], atol=1e-9)
    np.testing.assert_allclose(stack.positions, [ds.ImagePositionPatient for ds in slices])


def test_an_uneven_stack_that_is_allowed_knows_the_position_of_each_plane(tmp_path):
    slices = make_series()
    slices[2].ImagePositionPatient[2] += 0.4
    slices[3].ImagePositionPatient[0] -= 0.3
    random.Random(1).shuffle(slices)
    (stack,), refusals = read_stacks(write_series(slices, tmp_path), max_uneven_mm=0.5)
    assert not refusals
    assert (stack.is_regular, stack.is_upright, stack.tilt_degrees) == (False, False, 0.0)
    np.testing.assert_allclose(stack.positions, [header.ImagePositionPatient for header in stack.headers])
    assert stack.positions[2].tolist() == [-10.0, -20.0, 33.4]


def test_an_even_stack_is_regular_and_upright(tmp_path):
    for n, orientation in enumerate([(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (0.8, 0.6, 0, 0, 0, -1)]):
        (stack,), _ = stack_up(tmp_path / str(n), make_series(orientation=orientation))
        assert (stack.is_regular, stack.is_upright, stack.tilt_degrees) == (True, True, 0.0)
        np.testing.assert_allclose(stack.positions, [header.ImagePositionPatient for header in stack.headers])


def test_a_stray_plane_is_refused_whatever_is_allowed(tmp_path):
    slices = [*make_series(), make_slice(np.ones((16, 18), np.int16), (-10, -20, 211.3))]
    stacks, (refusal,) = read_stacks(write_series(slices, tmp_path), max_tilt_degrees=30.0, max_uneven_mm=500.0)
    assert not stacks
    assert isinstance(refusal.error, UnevenGeometry)


def test_a_stray_plane_far_away_does_not_vanish(tmp_path):
    slices = [*make_series(), make_slice(np.ones((16, 18), np.int16), (-10, -20, 211.3))]
    assert isinstance(only_refusal(*stack_up(tmp_path, slices)).error, UnevenGeometry)


def test_a_localizer_beside_a_stack_is_named_and_left_out(tmp_path):
    scout = make_slice(np.ones((16, 18), np.int16), (-10, -20, 90), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    across = make_slice(np.ones((16, 18), np.int16), (0, 0, 0), (0, 1, 0, 0, 0, -1))
    across.ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    (stack,), refusals = stack_up(tmp_path, [*make_series(), scout, across])
    assert stack.shape[0] == 5
    assert [type(refusal.error) for refusal in refusals] == [NoMatchingSeries] * 2
    assert all("localizer" in text for text in stack.others)
    assert len(stack.others) == 2


def test_a_series_without_frame_of_reference_is_refused_by_name(tmp_path):
    for value in (None, ""):
        slices = make_series(FrameOfReferenceUID=value)
        refusal = only_refusal(*stack_up(tmp_path / str(value), slices))
        assert isinstance(refusal.error, NoFrameOfReference)


def test_other_matrices_spacings_and_frames_of_reference_are_other_stacks(tmp_path):
    slices = make_series(shape=(4, 8, 8)) + make_series(shape=(4, 8, 9))
    slices += make_series(shape=(4, 8, 8), spacing=(1.5, 0.8, 0.71))
    slices += make_series(shape=(4, 8, 8), FrameOfReferenceUID="1.2.3.77")
    stacks, refusals = stack_up(tmp_path, slices)
    assert len(stacks) == 4
    assert not refusals
    assert stacks[0].others == ("12 more of the same series: 3 other stacks on other grids",)


def test_one_or_two_planes_are_too_few(tmp_path):
    for count in (1, 2):
        refusal = only_refusal(*stack_up(tmp_path / str(count), make_series(shape=(count, 4, 4))))
        assert isinstance(refusal.error, TooFewSlices)


def test_many_images_of_one_plane_are_too_few_positions(tmp_path):
    slices = [make_slice(np.ones((4, 4), np.int16), (0, 0, 0), TemporalPositionIdentifier=n) for n in range(1, 9)]
    assert isinstance(only_refusal(*stack_up(tmp_path, slices)).error, TooFewSlices)


def test_a_series_of_nothing_but_crumbs_is_mixed(tmp_path):
    slices = [
        make_slice(np.ones((4, 4), np.int16), (0, 0, 0), (np.cos(a), np.sin(a), 0, 0, 0, -1))
        for a in np.linspace(0, 3, 12)
    ]
    refusal = only_refusal(*stack_up(tmp_path, slices))
    assert isinstance(refusal.error, MixedSeries)
    assert "12 parts" in str(refusal.error)


def test_orientations_rounded_differently_from_plane_to_plane_are_one_stack(tmp_path):
    slices = make_series(orientation=(1, 0, 0, 0, 0.9995736, 0.0291995))
    for ds in slices[1::2]:
        ds.ImageOrientationPatient = [1, 0, 0, 0, 0.9996, 0.0292]
    (stack,), refusals = stack_up(tmp_path, slices)
    assert (stack.shape[0], refusals) == (5, [])


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"PixelSpacing": [0.0, 0.0]}, UnevenGeometry, "Pixel Spacing"),
        ({"ImagePositionPatient": None}, UnevenGeometry, "ImagePositionPatient is absent"),
        ({"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, NoMatchingSeries, "Secondary Capture"),
        ({"Rows": None}, NoMatchingSeries, "no acquired image"),
        ({"Modality": None}, NoMatchingSeries, "Modality"),
        ({"SamplesPerPixel": 3}, UnreadablePixels, "color"),
        ({"NumberOfFrames": 2}, UnevenGeometry, "does not say where its frames lie"),
        ({"ConcatenationUID": "1.2.3.66", "InConcatenationTotalNumber": 4}, MixedSeries, "concatenation"),
    ],
)
def test_what_can_be_no_stack_is_refused_by_name(tmp_path, changes, error, said):
    refusal = only_refusal(*stack_up(tmp_path, make_series(**changes)))
    assert type(refusal.error) is error
    assert said in str(refusal.error)
    assert (refusal.planes, refusal.series_uid) == (5 * changes.get("NumberOfFrames", 1), "1.2.3.2")
    assert "Test" not in str(refusal.error)


def test_a_file_that_is_no_dicom_stops_the_reading(tmp_path):
    paths = write_series(make_series(), tmp_path)
    paths[1].write_text("not an image")
    with pytest.raises(CannotUnderstand):
        read_stacks(paths)


def test_a_multi_frame_image_is_one_header_with_its_frames_in_order(tmp_path):
    slices = make_series(shape=(6, 8, 9))
    random.Random(1).shuffle(slices)
    legacy = LegacyConvertedEnhancedCTImage(slices, "1.2.3.9", 9, generate_uid(), 1)
    legacy.save_as(tmp_path / "a", enforce_file_format=True)
    (stack,), refusals = read_stacks([tmp_path / "a"])
    assert (len(stack.headers), len(stack.paths), stack.shape, refusals) == (1, 1, (6, 8, 9), [])
    groups = stack.first.PerFrameFunctionalGroupsSequence
    depths = [groups[n - 1].PlanePositionSequence[0].ImagePositionPatient[2] for _, n in stack.frames]
    assert depths == sorted(depths)
    np.testing.assert_allclose(np.linalg.norm(stack.affine[:3, :3], axis=0), [1.5, 0.8, 0.7])


def test_two_multi_frame_images_of_a_series_are_two_stacks_even_end_to_end(tmp_path):
    slices, paths = make_series(shape=(8, 8, 9)), []
    for half in (slices[:4], slices[4:]):
        legacy = LegacyConvertedEnhancedCTImage(half, "1.2.3.9", 9, generate_uid(), 1)
        paths.append(tmp_path / legacy.SOPInstanceUID)
        legacy.save_as(paths[-1], enforce_file_format=True)
    stacks, refusals = read_stacks(paths)
    assert ([(stack.shape[0], len(stack.headers)) for stack in stacks], refusals) == ([(4, 1), (4, 1)], [])


def test_frames_of_two_echoes_in_one_instance_are_two_stacks(tmp_path):
    slices = [ds for echo in (3.0, 70.0) for ds in make_series(shape=(4, 8, 9), modality="MR", EchoTime=echo)]
    legacy = LegacyConvertedEnhancedMRImage(slices, "1.2.3.9", 9, generate_uid(), 1)
    legacy.save_as(tmp_path / "a", enforce_file_format=True)
    stacks, refusals = read_stacks([tmp_path / "a"])
    assert ([stack.shape[0] for stack in stacks], refusals) == ([4, 4], [])
    assert {frame for stack in stacks for frame in stack.frames} == {(0, n) for n in range(1, 9)}


def test_frames_that_only_a_dimension_tells_apart_are_two_stacks(tmp_path):
    slices = make_series(shape=(4, 8, 9)) + make_series(shape=(4, 8, 9))
    legacy = LegacyConvertedEnhancedCTImage(slices, "1.2.3.9", 9, generate_uid(), 1)
    legacy.DimensionIndexSequence = Sequence([Dataset(), Dataset()])
    legacy.DimensionIndexSequence[0].DimensionIndexPointer = tag_for_keyword("ImagePositionPatient")
    legacy.DimensionIndexSequence[1].DimensionIndexPointer = tag_for_keyword("ContrastBolusAgentPhase")
    seen = []
    for groups in legacy.PerFrameFunctionalGroupsSequence:
        depth = round(groups.PlanePositionSequence[0].ImagePositionPatient[2], 3)
        groups.FrameContentSequence[0].DimensionIndexValues = [int(depth // 1.5), 1 + seen.count(depth)]
        seen.append(depth)
    legacy.save_as(tmp_path / "a", enforce_file_format=True)
    stacks, refusals = read_stacks([tmp_path / "a"])
    assert ([stack.shape[0] for stack in stacks], refusals) == ([4, 4], [])


REAL = {
    "ct_chest_CMB-CRC_01068": [(100, 512, 512)],
    "ct_chest_LungDx_A0001/series2_lung_kernel": [(64, 512, 512)],
    "ct_chest_LungDx_A0001/series3_soft_kernel": [(64, 512, 512)],
    "ct_chest_LungFCP_0001": [(98, 512, 512)],
    "mr_brain_VS-SEG-001": [(120, 512, 512)],
    "mr_enhanced/In/Philips": [(32, 64, 64)] * 2,
    "mr_enhanced/In/Siemens/XA10": [(6, 64, 64)] * 4,
    "dcmqi_seg_sr/data/segmentations/ct-3slice": [(3, 512, 512)],
    "dcmqi_seg_sr/data/segmentations/24x38x3/image": [(3, 38, 24)],
    "dcmqi_seg_sr/data/segmentations/24x38x3/multiframe": [(3, 38, 24)],
    "dcmqi_seg_sr/data/segmentations/23x38x3/image": [(3, 38, 23)],
    "dcmqi_seg_sr/data/segmentations/23x38x3/multiframe": [(3, 38, 23)],
}


@pytest.mark.parametrize("folder", REAL)
def test_real_series_are_stacks(real_data, folder):
    stacks, refusals = read_stacks(sorted((real_data / folder).rglob("*.dcm")))
    assert [stack.shape for stack in stacks] == REAL[folder]
    assert not refusals
    assert {stack.orientation for stack in stacks} == {"axial"}
    assert all(stack.is_upright for stack in stacks)


def test_real_single_slices_are_too_few(real_data):
    stacks, refusals = read_stacks(sorted((real_data / "ct_chest_prior_current_NY-SBU").rglob("*.dcm")))
    assert not stacks
    assert len(refusals) == 30
    assert {type(refusal.error) for refusal in refusals} == {TooFewSlices}


def test_real_result_objects_are_no_acquired_images(real_data):
    paths = sorted((real_data / "dcmqi_seg_sr/data/sr-example").glob("*.dcm"))
    stacks, refusals = read_stacks(paths)
    assert not stacks
    assert [type(refusal.error) for refusal in refusals] == [NoMatchingSeries] * 3
