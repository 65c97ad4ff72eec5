"""Segmentations say exactly which voxels, where, of what, by whom; and readers that no one here wrote agree."""

import copy

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array

from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Result
from tests.judges import dciodvfy_errors, segments_of
from tests.results import (
    CORPUS,
    ellipsoid,
    make_author,
    make_finding,
    make_frame_stack,
    make_result,
    make_segment,
    make_stack,
)
from tests.series import make_series


@pytest.fixture(params=CORPUS)
def stack(request):
    return CORPUS[request.param]()


def read(ds, folder):
    """(path, dataset) after a trip over the disk."""
    write_dicom(ds, folder / "seg.dcm")
    return folder / "seg.dcm", pydicom.dcmread(folder / "seg.dcm")


def masks_by_source(ds, stack):
    """Masks by Tracking UID, rebuilt on the stack's grid from pixel data and source references alone."""
    frames = pixel_array(ds).reshape(-1, ds.Rows, ds.Columns)
    planes = {(str(stack.headers[i].SOPInstanceUID), n): k for k, (i, n) in enumerate(stack.frames)}
    masks = {int(item.SegmentNumber): np.zeros(stack.shape, bool) for item in ds.SegmentSequence}
    for frame, group in zip(frames, ds.PerFrameFunctionalGroupsSequence, strict=True):
        (source,) = group.DerivationImageSequence[0].SourceImageSequence
        k = planes[str(source.ReferencedSOPInstanceUID), int(source.get("ReferencedFrameNumber", 1))]
        masks[group.SegmentIdentificationSequence[0].ReferencedSegmentNumber][k] = frame > 0
    return {str(item.TrackingUID): masks[int(item.SegmentNumber)] for item in ds.SegmentSequence}


@pytest.mark.parametrize("count", [1, 3])
def test_every_voxel_comes_back_on_the_plane_it_was_found_in(stack, count, tmp_path):
    author, result = make_author(), make_result(stack.shape, count)
    _, ds = read(encode_segmentation(stack, result, author), tmp_path)
    found = masks_by_source(ds, stack)
    assert len(found) == count
    for segment in result.segments:
        assert np.array_equal(found[author.uid("track", segment.key)], segment.mask)


@pytest.mark.judge
@pytest.mark.parametrize("count", [1, 3])
def test_dciodvfy_finds_no_error_and_dcmqi_the_same_voxels_at_the_same_place(stack, count, tmp_path):
    result = make_result(stack.shape, count)
    path, _ = read(encode_segmentation(stack, result, make_author()), tmp_path)
    assert dciodvfy_errors(path) == []
    assert_dcmqi_agrees(path, stack, result, tmp_path / "dcmqi")


def assert_dcmqi_agrees(path, stack, result, folder):
    found = segments_of(path, folder)
    assert len(found) == len(result.segments)
    for (voxels, matrix), segment in zip(found, result.segments, strict=True):
        assert voxels.sum() == segment.mask.sum()
        theirs = matrix @ [*np.argwhere(voxels).mean(axis=0), 1]
        ours = stack.affine @ [*np.argwhere(segment.mask).mean(axis=0), 1]
        assert np.abs(theirs - ours).max() < 0.01


@pytest.mark.judge
def test_dciodvfy_is_no_judge_that_lets_everything_pass(tmp_path):
    stack = CORPUS["plain"]()
    ds = encode_segmentation(stack, make_result(stack.shape), make_author())
    del ds.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    path, _ = read(ds, tmp_path)
    assert any("SegmentedPropertyTypeCodeSequence" in error for error in dciodvfy_errors(path))


def test_highdicom_reads_the_same_voxels_at_the_same_place(stack, tmp_path):
    result = make_result(stack.shape, 1)
    path, _ = read(encode_segmentation(stack, result, make_author()), tmp_path)
    volume = hd.seg.segread(path).get_volume(combine_segments=False, allow_missing_positions=True)
    assert volume.array.sum() == result.segments[0].mask.sum()
    theirs = volume.affine @ [*np.argwhere(volume.array[..., 0]).mean(axis=0), 1]
    ours = stack.affine @ [*np.argwhere(result.segments[0].mask).mean(axis=0), 1]
    assert np.abs(theirs - ours).max() < 0.01


def test_highdicom_reads_overlapping_segments_apart(tmp_path):
    stack = CORPUS["plain"]()
    result = make_result(stack.shape, 3)
    path, ds = read(encode_segmentation(stack, result, make_author()), tmp_path)
    assert (result.segments[0].mask & result.segments[1].mask).any()
    assert ds.SegmentsOverlap == "YES"
    uids = [header.SOPInstanceUID for header in stack.headers]
    found = hd.seg.segread(path).get_pixels_by_source_instance(
        uids, ignore_spatial_locations=False, assert_missing_frames_are_empty=True
    )
    for n, segment in enumerate(result.segments):
        assert np.array_equal(found[..., n] > 0, segment.mask)


def test_highdicom_reads_the_same_voxels_by_source_frame(tmp_path):
    stack = CORPUS["enhanced, some frames, reversed"]()
    result = make_result(stack.shape, 2)
    path, _ = read(encode_segmentation(stack, result, make_author()), tmp_path)
    found = hd.seg.segread(path).get_pixels_by_source_frame(
        stack.first.SOPInstanceUID, [number for _, number in stack.frames], ignore_spatial_locations=False,
        assert_missing_frames_are_empty=True,
    )  # fmt: skip
    for n, segment in enumerate(result.segments):
        assert np.array_equal(found[..., n] > 0, segment.mask)


def test_segments_apart_say_so_and_empty_planes_have_no_frame():
    stack = CORPUS["plain"]()
    low, high = np.zeros(stack.shape, bool), np.zeros(stack.shape, bool)
    low[1, 2:5, 3:6], high[3, 2:5, 3:6] = True, True
    result = Result((make_segment(low, "low"), make_segment(high, "high")), (make_finding("low"),))
    ds = encode_segmentation(stack, result, make_author())
    assert ds.SegmentsOverlap == "NO"
    assert ds.NumberOfFrames == 2
    indices = [g.FrameContentSequence[0].DimensionIndexValues for g in ds.PerFrameFunctionalGroupsSequence]
    assert [list(value) for value in indices] == [[1, 1], [2, 2]]


def test_an_empty_segment_is_left_out_and_the_others_count_from_one():
    stack = CORPUS["plain"]()
    nothing = make_segment(np.zeros(stack.shape, bool), "nothing")
    something = make_segment(ellipsoid(stack.shape), "something")
    ds = encode_segmentation(stack, Result((nothing, something), (make_finding("something"),)), make_author())
    assert [(item.SegmentNumber, item.SegmentLabel) for item in ds.SegmentSequence] == [(1, "something")]


def test_nothing_to_segment_is_an_error_not_an_empty_object():
    stack = CORPUS["plain"]()
    result = Result((make_segment(np.zeros(stack.shape, bool)),), (make_finding(),))
    with pytest.raises(EncodingError, match="no segment has a voxel"):
        encode_segmentation(stack, result, make_author())


def test_a_mask_of_another_shape_or_type_is_refused():
    stack = CORPUS["plain"]()
    for mask in (np.ones((5, 16, 17), bool), np.ones(stack.shape, np.uint8)):
        with pytest.raises(EncodingError, match="nodule-1"):
            encode_segmentation(stack, Result((make_segment(mask),), (make_finding(),)), make_author())


def test_a_stack_whose_affine_is_not_its_images_is_refused():
    stack = CORPUS["plain"]()
    stack.affine[:3, 0] *= -1
    with pytest.raises(EncodingError, match="plane 1 of the stack"):
        encode_segmentation(stack, make_result(stack.shape), make_author())


def test_a_source_without_frame_of_reference_is_refused():
    stack = make_stack(make_series(FrameOfReferenceUID=None))
    with pytest.raises(EncodingError, match="FrameOfReferenceUID"):
        encode_segmentation(stack, make_result(stack.shape), make_author())


def test_who_where_and_what_is_written_in_every_segment():
    author = make_author()
    stack = CORPUS["plain"]()
    ds = encode_segmentation(stack, make_result(stack.shape), author)
    (item,) = ds.SegmentSequence
    (algorithm,) = item.SegmentationAlgorithmIdentificationSequence
    assert (item.SegmentAlgorithmType, item.SegmentAlgorithmName) == ("AUTOMATIC", "lung-nodule")
    assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == ("lung-nodule", "1.2.0")
    assert algorithm.AlgorithmSource == "Testmaker Models"
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeValue == "123110"
    assert (item.TrackingUID, item.TrackingID) == (author.uid("track", "nodule-1"), "lung-nodule/nodule-1")
    assert item.AnatomicRegionSequence[0].CodeMeaning == "Lung"
    assert item.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeMeaning == "Right"
    assert hd.color.CIELabColor.from_dicom_value(tuple(item.RecommendedDisplayCIELabValue)).to_rgb() == (230, 120, 60)


def test_laterality_without_a_site_modifies_the_type():
    stack = CORPUS["plain"]()
    segment = make_segment(ellipsoid(stack.shape), site=None)
    ds = encode_segmentation(stack, Result((segment,), (make_finding(),)), make_author())
    assert "AnatomicRegionSequence" not in ds.SegmentSequence[0]
    (kind,) = ds.SegmentSequence[0].SegmentedPropertyTypeCodeSequence
    assert kind.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"


def test_the_algorithm_is_contributing_equipment_with_its_device_uid_and_equal_everywhere():
    author = make_author()
    stack = CORPUS["plain"]()
    ds = encode_segmentation(stack, make_result(stack.shape), author)
    scanner, algorithm = ds.ContributingEquipmentSequence
    assert scanner.Manufacturer == "Testmaker"
    assert algorithm.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    assert algorithm.DeviceUID == author.device_uid
    identity = ds.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.Manufacturer == identity.AlgorithmSource
    assert algorithm.ManufacturerModelName == identity.AlgorithmName
    assert algorithm.SoftwareVersions == identity.AlgorithmVersion
    assert "abab" in algorithm.ContributionDescription


def test_spacing_between_slices_is_the_planes_distance_whatever_the_source_says():
    stack = make_stack(make_series(SpacingBetweenSlices=9.0, SliceThickness=3.0))
    measures = encode_segmentation(stack, make_result(stack.shape), make_author())
    (measures,) = measures.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert (measures.SpacingBetweenSlices, measures.SliceThickness) == (1.5, 3.0)
    assert list(measures.PixelSpacing) == [0.8, 0.7]


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore:.*VR CS")
@pytest.mark.parametrize(
    "changes",
    [
        {"SliceThickness": ""},
        {"SliceThickness": None},
        {"ImageOrientationPatient": [2.0, 0.0, 0.0, 0.0, 2.0, 0.0]},
        {"PositionReferenceIndicator": None},
        {"LossyImageCompression": "01"},
        {"LossyImageCompression": "01", "LossyImageCompressionRatio": 10, "LossyImageCompressionMethod": "ISO_10918_1"},
        {"BodyPartExamined": "KNEE", "Laterality": "R"},
        {"BodyPartExamined": "not a code string!", "Laterality": "both"},
    ],
    ids=lambda changes: " ".join(f"{k}={v}" for k, v in changes.items())[:40],
)
def test_a_strange_source_still_makes_a_valid_segmentation(changes, tmp_path):
    stack = make_stack(make_series(**changes))
    path, ds = read(encode_segmentation(stack, make_result(stack.shape), make_author()), tmp_path)
    assert dciodvfy_errors(path) == []
    groups = ds.SharedFunctionalGroupsSequence[0]
    assert float(groups.PixelMeasuresSequence[0].SliceThickness) == 1.5
    assert list(groups.PlaneOrientationSequence[0].ImageOrientationPatient) == [1, 0, 0, 0, 1, 0]


def test_the_same_result_makes_the_same_bytes_and_leaves_its_source_alone(stack, tmp_path):
    before = [copy.deepcopy(header) for header in stack.headers]
    for name in ("one", "two"):
        write_dicom(encode_segmentation(stack, make_result(stack.shape, 2), make_author()), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert list(stack.headers) == before


def test_another_job_or_another_version_makes_another_object():
    stack = CORPUS["plain"]()
    authors = [make_author(), make_author("job-2"), make_author(version="1.3.0")]
    made = [encode_segmentation(stack, make_result(stack.shape), author) for author in authors]
    assert len({ds.SOPInstanceUID for ds in made}) == len({ds.SeriesInstanceUID for ds in made}) == 3


@pytest.mark.judge
@pytest.mark.parametrize("series", ["ct_chest_LungDx_A0001/series3_soft_kernel", "mr_brain_VS-SEG-001"])
def test_a_threshold_on_a_real_series_reads_back_alike_everywhere(series, real_data, tmp_path):
    files = sorted((real_data / series).rglob("*.dcm"))
    headers = [pydicom.dcmread(file, stop_before_pixels=True) for file in files]
    headers, files = zip(
        *sorted(zip(headers, files, strict=True), key=lambda pair: float(pair[0].ImagePositionPatient[2])), strict=True
    )
    stack = make_stack(headers)
    mask = np.zeros(stack.shape, bool)
    for k in range(10, 18):
        mask[k] = pixel_array(files[k]) > 300
    result = Result((make_segment(mask), make_segment(mask[:, :, ::-1] & ~mask, "mirrored")), (make_finding(),))
    path, ds = read(encode_segmentation(stack, result, make_author()), tmp_path)
    assert dciodvfy_errors(path) == []
    assert ds.PatientID == headers[0].PatientID
    assert_dcmqi_agrees(path, stack, result, tmp_path / "dcmqi")


@pytest.mark.judge
@pytest.mark.parametrize(
    ("file", "numbers"),
    [("Philips/IM_0027_fMAP.dcm", range(32, 1, -1)), ("Siemens/XA10/6_1.dcm", range(1, 7))],
    ids=["Philips, 31 of 64 frames, reversed", "Siemens"],
)
def test_a_real_multi_frame_image_with_geometry_frame_by_frame(file, numbers, real_data, tmp_path):
    header = pydicom.dcmread(real_data / "mr_enhanced/In" / file, stop_before_pixels=True)
    stack = make_frame_stack(header, list(numbers))
    result = make_result(stack.shape, 2)
    path, ds = read(encode_segmentation(stack, result, make_author()), tmp_path)
    assert dciodvfy_errors(path) == []
    assert_dcmqi_agrees(path, stack, result, tmp_path / "dcmqi")
    assert list(masks_by_source(ds, stack)) == [make_author().uid("track", s.key) for s in result.segments]
