"""Structure sets give the mask back when filled, name image and frame of each contour, and pass for what they are."""

import copy

import numpy as np
import pydicom
import pytest

from node.dicom.structure_set import encode_structure_set
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Result
from tests.judges import dciodvfy_errors
from tests.results import (
    ANATOMY,
    CORPUS,
    LUNG,
    ellipsoid,
    make_author,
    make_finding,
    make_result,
    make_segment,
    make_stack,
)
from tests.series import make_series


@pytest.fixture(params=CORPUS)
def stack(request):
    return CORPUS[request.param]()


def with_hole(shape):
    """An ellipsoid with a hole in the middle of it, an island in that, and a lone pixel far away."""
    mask = ellipsoid(shape) | ellipsoid(shape, radius=(0.5, 0.35, 0.35))
    middle = tuple(slice(n // 2 - 1, n // 2 + 2) for n in shape[1:])
    mask[(slice(None), *middle)] = False
    mask[:, shape[1] // 2, shape[2] // 2] = True
    mask[0, 0, 0] = True
    return mask


def encode(stack, *masks):
    segments = [make_segment(mask, f"part-{n}") for n, mask in enumerate(masks, 1)]
    return encode_structure_set(stack, Result(tuple(segments), (make_finding("part-1"),)), make_author())


def read(ds, folder):
    """(path, dataset) after a trip over the disk."""
    write_dicom(ds, folder / "rtstruct.dcm")
    return folder / "rtstruct.dcm", pydicom.dcmread(folder / "rtstruct.dcm")


def fill(roi, stack):
    """The pixels whose centers lie within an odd number of the contours of `roi`, on the plane of the image that each
    contour names; all from patient coordinates."""
    planes = {(str(stack.headers[i].SOPInstanceUID), n): k for k, (i, n) in enumerate(stack.frames)}
    inside = np.zeros(stack.shape, int)
    for contour in roi.ContourSequence:
        (image,) = contour.ContourImageSequence
        k = planes[str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 1))]
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints
        indices = np.linalg.solve(stack.affine, np.column_stack([points, np.ones(len(points))]).T)[:3].T
        assert np.abs(indices[:, 0] - k).max() < 0.002, "a contour lies in the plane of its image"
        inside[k] += _count_crossings(indices[:, 1:], stack.shape[1:])
    return inside % 2 == 1


def _count_crossings(polygon, shape):
    """Edges to the right of each pixel's center."""
    columns = np.arange(shape[1])
    crossings = np.zeros(shape, int)
    for (row, column), (to_row, to_column) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        rows = np.arange(np.ceil(min(row, to_row)), np.ceil(max(row, to_row))).astype(int)
        if len(rows):
            at = column + (rows - row) / (to_row - row) * (to_column - column)
            crossings[rows] += at[:, None] > columns
    return crossings


def test_filled_again_they_are_exactly_the_masks(stack, tmp_path):
    masks = [ellipsoid(stack.shape), ~ellipsoid(stack.shape)]
    if min(stack.shape[1:]) > 8:
        masks.append(with_hole(stack.shape))
    _, ds = read(encode(stack, *masks), tmp_path)
    assert len(ds.ROIContourSequence) == len(masks)
    for roi, mask in zip(ds.ROIContourSequence, masks, strict=True):
        assert np.array_equal(fill(roi, stack), mask)


def test_planes_of_a_tilted_gantry_are_exact_each_for_itself(tmp_path):
    stack = make_stack(make_series(step=(0.0, 0.4, 1.5)))
    _, ds = read(encode(stack, ellipsoid(stack.shape)), tmp_path)
    assert np.array_equal(fill(ds.ROIContourSequence[0], stack), ellipsoid(stack.shape))


def test_noise_is_exact_too_and_strips_of_long_contours_are_written_in_full(tmp_path):
    stack = make_stack(make_series((3, 120, 130)))
    noise = np.random.default_rng(1).random(stack.shape) < 0.75
    _, ds = read(encode(stack, noise), tmp_path)
    (roi,) = ds.ROIContourSequence
    assert max(len(contour.ContourData) for contour in roi.ContourSequence) > 3000
    assert {contour["ContourData"].VR for contour in roi.ContourSequence} == {"DS"}
    assert np.array_equal(fill(roi, stack), noise)


def test_coordinates_are_short_decimal_strings_within_a_thousandth_of_a_millimeter(tmp_path):
    stack = make_stack(make_series(origin=(-1234.56789, 0.00004, 1e-9), spacing=(1 / 3, 0.7030041, 0.7030041)))
    mask = np.ones(stack.shape, bool)
    _, ds = read(encode(stack, mask), tmp_path)
    (roi,) = ds.ROIContourSequence
    for k, contour in enumerate(roi.ContourSequence):
        texts = [str(value.original_string) for value in contour.ContourData]
        assert all(len(text) <= 16 for text in texts)
        assert "-0.0" not in texts
        corner = stack.affine @ [k, -0.5, -0.5, 1]
        assert np.abs(np.array(contour.ContourData[:3], float) - corner[:3]).max() <= 0.0005001


@pytest.mark.judge
def test_dciodvfy_finds_no_error_in_any_geometry(stack, tmp_path):
    path, _ = read(encode(stack, ellipsoid(stack.shape), ~ellipsoid(stack.shape)), tmp_path)
    assert dciodvfy_errors(path) == []


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore:.*VR CS")
@pytest.mark.parametrize(
    "changes",
    [
        {"BodyPartExamined": "KNEE", "Laterality": "R"},
        {"BodyPartExamined": "not a code string!"},
        {"PositionReferenceIndicator": None},
        {"SliceThickness": ""},
    ],
    ids=lambda changes: " ".join(f"{k}={v}" for k, v in changes.items())[:40],
)
def test_a_strange_source_still_makes_a_valid_structure_set(changes, tmp_path):
    stack = make_stack(make_series(**changes))
    path, _ = read(encode(stack, ellipsoid(stack.shape)), tmp_path)
    assert dciodvfy_errors(path) == []


@pytest.mark.judge
def test_dciodvfy_is_no_judge_that_lets_everything_pass(tmp_path):
    stack = CORPUS["plain"]()
    ds = encode(stack, ellipsoid(stack.shape))
    del ds.StructureSetROISequence[0].ROIGenerationAlgorithm
    path, _ = read(ds, tmp_path)
    assert any("ROIGenerationAlgorithm" in error for error in dciodvfy_errors(path))


def test_every_image_of_the_stack_is_referenced_whether_a_contour_lies_on_it_or_not():
    stack = CORPUS["plain"]()
    mask = np.zeros(stack.shape, bool)
    mask[2, 3:5, 3:5] = True
    ds = encode(stack, mask)
    (frame,) = ds.ReferencedFrameOfReferenceSequence
    (series,) = frame.RTReferencedStudySequence[0].RTReferencedSeriesSequence
    assert frame.FrameOfReferenceUID == ds.FrameOfReferenceUID == stack.frame_of_reference_uid
    assert series.SeriesInstanceUID == stack.series_uid
    images = {item.ReferencedSOPInstanceUID for item in series.ContourImageSequence}
    assert images == {header.SOPInstanceUID for header in stack.headers}
    (contour,) = ds.ROIContourSequence[0].ContourSequence
    assert contour.ContourImageSequence[0].ReferencedSOPInstanceUID == stack.headers[2].SOPInstanceUID


def test_of_a_multi_frame_image_the_frames_are_named():
    stack = CORPUS["enhanced, some frames, reversed"]()
    ds = encode(stack, np.ones(stack.shape, bool))
    series = ds.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    (image,) = series.ContourImageSequence
    assert list(image.ReferencedFrameNumber) == [2, 3, 4, 5]
    contours = ds.ROIContourSequence[0].ContourSequence
    assert [c.ContourImageSequence[0].ReferencedFrameNumber for c in contours] == [5, 4, 3, 2]
    assert [c.ContourNumber for c in contours] == [1, 2, 3, 4]


def test_what_a_region_is_stands_in_codes_and_nobody_has_approved_it():
    stack, author = CORPUS["plain"](), make_author()
    lung = make_segment(ellipsoid(stack.shape), "right-lung", label="Right lung", category=ANATOMY, kind=LUNG)
    nodule = make_segment(~ellipsoid(stack.shape), "nodule-1", laterality=None, color=(1, 2, 3))
    ds = encode_structure_set(stack, Result((lung, nodule), (make_finding(),)), author)
    first, second = ds.RTROIObservationsSequence
    assert (first.RTROIInterpretedType, second.RTROIInterpretedType) == ("ORGAN", "")
    assert first.RTROIIdentificationCodeSequence[0].CodeMeaning == "Lung"
    assert first.RTROIIdentificationCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Right"
    assert second.AnatomicRegionSequence[0].CodeMeaning == "Lung"
    assert [roi.ROIName for roi in ds.StructureSetROISequence] == ["Right lung", "nodule-1"]
    assert list(ds.ROIContourSequence[1].ROIDisplayColor) == [1, 2, 3]
    for roi in ds.StructureSetROISequence:
        assert roi.ROIGenerationAlgorithm == "AUTOMATIC"
        assert roi.ROIDerivationAlgorithmIdentificationSequence[0].AlgorithmVersion == "1.2.0"
    assert ds.ApprovalStatus == "UNAPPROVED"
    assert ds.StructureSetLabel == "AI NOT REVIEWED"
    assert "Not for: primary diagnosis" in ds.StructureSetDescription
    assert ds.ContributingEquipmentSequence[-1].DeviceUID == author.device_uid


def test_regions_with_one_label_have_names_of_their_own():
    stack = CORPUS["plain"]()
    mask = ellipsoid(stack.shape)
    segments = [make_segment(mask, f"nodule-{n}", label="Nodule") for n in (1, 2)]
    ds = encode_structure_set(stack, Result(tuple(segments), (make_finding(),)), make_author())
    assert [roi.ROIName for roi in ds.StructureSetROISequence] == ["nodule-1 Nodule", "nodule-2 Nodule"]


def test_an_empty_segment_is_left_out_and_nothing_at_all_is_refused():
    stack = CORPUS["plain"]()
    nothing = np.zeros(stack.shape, bool)
    ds = encode(stack, nothing, ellipsoid(stack.shape))
    assert [(roi.ROINumber, roi.ROIName) for roi in ds.StructureSetROISequence] == [(1, "part-2")]
    with pytest.raises(EncodingError, match="no segment has a voxel"):
        encode(stack, nothing)


def test_a_source_without_frame_of_reference_or_elsewhere_is_refused():
    stack = make_stack(make_series(FrameOfReferenceUID=None))
    with pytest.raises(EncodingError, match="FrameOfReferenceUID"):
        encode(stack, ellipsoid(stack.shape))
    stack = CORPUS["plain"]()
    stack.affine[:3, 0] *= -1
    with pytest.raises(EncodingError, match="plane 1 of the stack"):
        encode(stack, ellipsoid(stack.shape))


def test_the_same_result_makes_the_same_bytes_and_leaves_its_source_alone(stack, tmp_path):
    before = [copy.deepcopy(header) for header in stack.headers]
    for name in ("one", "two"):
        write_dicom(encode_structure_set(stack, make_result(stack.shape, 2), make_author()), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert list(stack.headers) == before


@pytest.mark.judge
def test_bone_in_a_real_series_is_valid_and_exact(real_data, tmp_path):
    files = sorted((real_data / "ct_chest_LungDx_A0001/series3_soft_kernel").rglob("*.dcm"))
    files.sort(
        key=lambda file: float(pydicom.dcmread(file, specific_tags=["ImagePositionPatient"]).ImagePositionPatient[2])
    )
    stack = make_stack([pydicom.dcmread(file, stop_before_pixels=True) for file in files])
    mask = np.zeros(stack.shape, bool)
    for k in range(30, 33):
        mask[k] = pydicom.dcmread(files[k]).pixel_array > 1300
    path, ds = read(encode(stack, mask), tmp_path)
    assert dciodvfy_errors(path) == []
    (roi,) = ds.ROIContourSequence
    found = fill(roi, stack)
    assert mask.sum() > 1000
    assert np.array_equal(found, mask)
