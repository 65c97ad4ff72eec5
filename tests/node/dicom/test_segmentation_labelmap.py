"""Label maps hold the same voxels as the masks, in one frame a plane; what cannot be one is refused by name."""

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.pixels import pixel_array

from node.dicom.labelmap import encode_labelmap
from node.dicom.read_frames import read_frames
from node.dicom.run_length import encode_run_length
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from node.errors import OverlappingSegments
from pipelines.terms import LabelMask, Result
from tests.judges import segments_of
from tests.results import CORPUS, ellipsoid, make_author, make_finding, make_result, make_segment, make_stack
from tests.series import make_series


def label_volume(shape, count):
    """Runs of labels 1 to `count` one behind the other, with empty planes at both ends."""
    labels = np.zeros(shape, np.uint8 if count < 256 else np.uint16)
    room = labels[1:-1]
    filled = room.size * 2 // 3
    room.ravel()[:filled] = np.arange(filled) * count // filled + 1
    return labels


def make_label_result(labels, numbers):
    segments = [make_segment(LabelMask(labels, n), f"part-{n}") for n in numbers]
    return Result(tuple(segments), (make_finding(f"part-{numbers[0]}"),))


def read(ds, folder):
    write_dicom(ds, folder / "labelmap.dcm")
    return folder / "labelmap.dcm", pydicom.dcmread(folder / "labelmap.dcm")


def numbered(stack, result):
    """The label volume that is expected: numbers of segments in the order of the result."""
    volume = np.zeros(stack.shape, np.uint16)
    for number, segment in enumerate(result.segments, 1):
        volume[segment.mask] = number
    return volume


@pytest.mark.parametrize("name", CORPUS)
def test_every_voxel_has_its_segments_number_on_the_plane_it_was_found_in(name, tmp_path):
    stack = CORPUS[name]()
    result = make_label_result(label_volume(stack.shape, 3), [1, 2, 3])
    _, ds = read(encode_labelmap(stack, result, make_author()), tmp_path)
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.5"
    assert (ds.SegmentationType, ds.BitsAllocated, ds.PixelPaddingValue) == ("LABELMAP", 8, 0)
    frames, pixels = read_frames(ds), pixel_array(ds).reshape(-1, ds.Rows, ds.Columns)
    planes = {(str(stack.headers[i].SOPInstanceUID), n): k for k, (i, n) in enumerate(stack.frames)}
    found = np.zeros(stack.shape, np.uint16)
    for frame, sources in zip(pixels, frames.sources, strict=True):
        (source,) = sources
        found[planes[source.sop_instance_uid, source.frame]] = frame
    assert np.array_equal(found, numbered(stack, result))
    assert len(frames) == ds.NumberOfFrames == np.count_nonzero(found.any(axis=(1, 2)))


@pytest.mark.parametrize("name", ["plain", "odd columns", "few pixels"])
def test_highdicom_reads_the_same_voxels(name, tmp_path):
    stack = CORPUS[name]()
    result = make_label_result(label_volume(stack.shape, 4), [1, 2, 3, 4])
    path, _ = read(encode_labelmap(stack, result, make_author()), tmp_path)
    uids = [header.SOPInstanceUID for header in stack.headers]
    seg = hd.seg.segread(path)
    found = seg.get_pixels_by_source_instance(
        uids, ignore_spatial_locations=False, assert_missing_frames_are_empty=True, combine_segments=True
    )
    assert np.array_equal(found, numbered(stack, result))
    assert seg.segment_numbers == [1, 2, 3, 4]
    assert seg.get_tracking_ids() != []


def test_highdicom_reads_the_same_voxels_by_source_frame(tmp_path):
    stack = CORPUS["enhanced"]()
    result = make_label_result(label_volume(stack.shape, 2), [1, 2])
    path, _ = read(encode_labelmap(stack, result, make_author()), tmp_path)
    found = hd.seg.segread(path).get_pixels_by_source_frame(
        stack.first.SOPInstanceUID, [number for _, number in stack.frames], ignore_spatial_locations=False,
        assert_missing_frames_are_empty=True, combine_segments=True,
    )  # fmt: skip
    assert np.array_equal(found, numbered(stack, result))


@pytest.mark.judge
@pytest.mark.parametrize("name", ["plain", "odd columns", "oblique"])
def test_dcmqi_reads_the_same_voxels(name, tmp_path):
    stack = CORPUS[name]()
    result = make_label_result(label_volume(stack.shape, 3), [1, 2, 3])
    path, _ = read(encode_labelmap(stack, result, make_author()), tmp_path)
    (found,) = segments_of(path, tmp_path / "dcmqi")
    voxels, matrix = found
    assert voxels.sum() == np.count_nonzero(numbered(stack, result))
    theirs = matrix @ [*np.argwhere(voxels).mean(axis=0), 1]
    ours = stack.affine @ [*np.argwhere(numbered(stack, result)).mean(axis=0), 1]
    assert np.abs(theirs - ours).max() < 0.01


def test_more_than_255_segments_take_16_bits(tmp_path):
    stack = make_stack(make_series((4, 20, 33)))
    result = make_label_result(label_volume(stack.shape, 300), list(range(1, 301)))
    _, ds = read(encode_labelmap(stack, result, make_author()), tmp_path)
    assert (ds.BitsAllocated, ds.BitsStored, ds.HighBit, len(ds.SegmentSequence)) == (16, 16, 15, 301)
    assert np.array_equal(np.unique(pixel_array(ds)), np.arange(301))
    planes = numbered(stack, result)
    assert np.array_equal(pixel_array(ds), planes[planes.any(axis=(1, 2))])


def test_masks_of_their_own_and_shares_of_a_volume_make_one_label_map(tmp_path):
    stack = CORPUS["plain"]()
    labels = label_volume(stack.shape, 2)
    apart = ellipsoid(stack.shape) & (labels == 0)
    result = Result((*make_label_result(labels, [2, 1]).segments, make_segment(apart)), (make_finding(),))
    _, ds = read(encode_labelmap(stack, result, make_author()), tmp_path)
    expected = numbered(stack, result)
    assert np.array_equal(pixel_array(ds), expected[expected.any(axis=(1, 2))])


def test_segments_that_overlap_are_refused_by_name():
    stack = CORPUS["plain"]()
    with pytest.raises(OverlappingSegments, match="'nodule-2' lies over another"):
        encode_labelmap(stack, make_result(stack.shape, 2), make_author())


def test_one_label_given_to_two_segments_is_an_overlap():
    stack = CORPUS["plain"]()
    labels = label_volume(stack.shape, 1)
    segments = tuple(make_segment(LabelMask(labels, 1), key) for key in ("one", "two"))
    with pytest.raises(OverlappingSegments, match="'two' lies over another"):
        encode_labelmap(stack, Result(segments, (make_finding("one"),)), make_author())


def test_it_is_another_object_than_the_binary_one_and_its_segments_are_the_same():
    stack, author = CORPUS["plain"](), make_author()
    result = make_label_result(label_volume(stack.shape, 3), [1, 2, 3])
    binary, labelmap = encode_segmentation(stack, result, author), encode_labelmap(stack, result, author)
    assert binary.SOPInstanceUID != labelmap.SOPInstanceUID
    assert binary.SeriesInstanceUID != labelmap.SeriesInstanceUID
    background, *segments = labelmap.SegmentSequence
    assert segments == list(binary.SegmentSequence)
    assert (background.SegmentNumber, background.SegmentedPropertyTypeCodeSequence[0].CodeValue) == (0, "125040")
    assert "TrackingUID" not in background


def test_planes_that_are_not_evenly_apart_are_no_volume():
    stack = CORPUS["enhanced"]()
    labels = np.zeros(stack.shape, np.uint8)
    labels[[0, 1, 3]] = 1
    assert "DimensionOrganizationType" not in encode_labelmap(stack, make_label_result(labels, [1]), make_author())
    labels[2] = 1
    assert encode_labelmap(stack, make_label_result(labels, [1]), make_author()).DimensionOrganizationType == "3D"


def test_the_same_result_makes_the_same_bytes(tmp_path):
    stack = CORPUS["plain"]()
    for name in ("one", "two"):
        result = make_label_result(label_volume(stack.shape, 3), [1, 2, 3])
        write_dicom(encode_labelmap(stack, result, make_author()), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(1, 1), (3, 128), (3, 129), (2, 257), (5, 400)])
def test_runs_of_every_length_come_back(shape, dtype, tmp_path):
    rng = np.random.default_rng(shape[1])
    for repeats in (1, 2, 3, 127, 128, 129):
        values = rng.integers(0, np.iinfo(dtype).max + 1, shape[0] * shape[1], dtype=dtype)
        image = np.repeat(values, repeats)[: shape[0] * shape[1]].reshape(shape)
        frame = encode_run_length(image)
        assert len(frame) % 2 == 0
        assert np.array_equal(decode(frame, image), image)


def decode(frame, image):
    """By pydicom."""
    ds = pydicom.Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.RLELossless
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.Rows, ds.Columns = image.shape
    ds.BitsAllocated = ds.BitsStored = image.dtype.itemsize * 8
    ds.HighBit = ds.BitsStored - 1
    ds.PixelData = pydicom.encaps.encapsulate([frame])
    ds["PixelData"].VR = "OB"
    return pixel_array(ds)
