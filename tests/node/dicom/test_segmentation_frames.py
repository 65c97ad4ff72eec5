"""Frames written as bytes are the frames that objects would be; read as bytes they say what objects would say."""

import copy
import io

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataelem import RawDataElement
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from node.dicom.codes import SEGMENTATION_DERIVATION
from node.dicom.explicit_vr import walk_items
from node.dicom.extent import find_extents
from node.dicom.functional_groups import derivation_item, make_item, to_ds
from node.dicom.packed_frames import PackedFrames
from node.dicom.read_frames import PER_FRAME, read_frames
from node.dicom.segmentation import IN_MEMORY_BYTES, encode_segmentation, plane_positions
from node.dicom.write import write_dicom
from pipelines.terms import LabelMask, Result
from tests.results import CORPUS, ellipsoid, make_author, make_finding, make_result, make_segment, make_stack
from tests.series import make_series


@pytest.fixture(params=CORPUS)
def stack(request):
    return CORPUS[request.param]()


def encode(stack, count=2):
    return encode_segmentation(stack, make_result(stack.shape, count), make_author())


def write_by_pydicom(dataset):
    file = DicomBytesIO()
    file.is_implicit_VR, file.is_little_endian = False, True
    write_dataset(file, dataset)
    return file.getvalue()


def test_the_groups_are_the_bytes_that_pydicom_writes_of_objects(stack):
    ds = encode(stack)
    data = ds.get_item(PER_FRAME).value
    positions = plane_positions(stack)
    planes = {(str(stack.headers[i].SOPInstanceUID), n): k for k, (i, n) in enumerate(stack.frames)}
    for written, frame in zip(walk_items(data), ds.PerFrameFunctionalGroupsSequence, strict=True):
        (source,) = frame.DerivationImageSequence[0].SourceImageSequence
        k = planes[str(source.ReferencedSOPInstanceUID), int(source.get("ReferencedFrameNumber", 1))]
        content, identification = frame.FrameContentSequence[0], frame.SegmentIdentificationSequence[0]
        as_object = make_item(
            DerivationImageSequence=[derivation_item(stack, k, SEGMENTATION_DERIVATION)],
            FrameContentSequence=[make_item(DimensionIndexValues=list(content.DimensionIndexValues))],
            PlanePositionSequence=[make_item(ImagePositionPatient=[to_ds(value) for value in positions[k]])],
            SegmentIdentificationSequence=[make_item(ReferencedSegmentNumber=identification.ReferencedSegmentNumber)],
        )
        assert written == write_by_pydicom(as_object)


def test_the_bytes_and_pydicoms_objects_say_the_same(stack, tmp_path):
    ds = encode(stack)
    write_dicom(ds, tmp_path / "seg.dcm")
    parsed = pydicom.dcmread(tmp_path / "seg.dcm")
    assert len(parsed.PerFrameFunctionalGroupsSequence) == parsed.NumberOfFrames
    assert isinstance(ds.get_item(PER_FRAME), RawDataElement)
    assert not isinstance(parsed.get_item(PER_FRAME), RawDataElement)
    assert_same(read_frames(ds), read_frames(parsed))


def assert_same(one, other):
    assert len(one) == len(other) > 0
    assert one.sources == other.sources
    assert one.indices == other.indices
    assert np.array_equal(one.segments, other.segments)
    assert np.array_equal(one.positions, other.positions)


@pytest.mark.parametrize("encoding", ["undefined lengths", "implicit VR", "big endian"])
def test_frames_in_any_encoding_say_the_same(encoding, tmp_path):
    ds = encode(CORPUS["plain"]())
    expected = read_frames(ds)
    if encoding == "undefined lengths":
        ds["PerFrameFunctionalGroupsSequence"].is_undefined_length = True
        for group in ds.PerFrameFunctionalGroupsSequence:
            group.is_undefined_length_sequence_item = True
            group["PlanePositionSequence"].is_undefined_length = True
        write_dicom(ds, tmp_path / "seg.dcm")
    else:
        little = encoding == "implicit VR"
        del ds.file_meta, ds.PixelData
        pydicom.dcmwrite(
            tmp_path / "seg.dcm", ds, implicit_vr=little, little_endian=little, force_encoding=True,
            enforce_file_format=False,
        )  # fmt: skip
    if encoding == "undefined lengths":
        found = pydicom.dcmread(tmp_path / "seg.dcm")
    else:
        found = pydicom.filereader.read_dataset((tmp_path / "seg.dcm").open("rb"), little, little)
    assert_same(read_frames(found), expected)


def test_inner_lengths_that_are_undefined_are_read_by_pydicom(tmp_path):
    ds = encode(CORPUS["plain"]())
    expected = read_frames(ds)
    for group in ds.PerFrameFunctionalGroupsSequence:
        group["PlanePositionSequence"].is_undefined_length = True
    write_dicom(ds, tmp_path / "seg.dcm")
    found = pydicom.dcmread(tmp_path / "seg.dcm")
    assert isinstance(found.get_item(PER_FRAME), RawDataElement)
    assert_same(read_frames(found), expected)


@pytest.mark.parametrize("count", [1, 2])
def test_frames_of_another_writer_are_read(count, tmp_path):
    stack = CORPUS["plain"]()
    masks = np.stack([segment.mask for segment in make_result(stack.shape, count).segments], axis=-1)
    ours = encode(stack, count)
    theirs = hd.seg.Segmentation(
        stack.headers, masks, "BINARY", [hd.seg.SegmentDescription.from_dataset(item) for item in ours.SegmentSequence],
        hd.UID(), 1, hd.UID(), 1, "Maker", "Model", "1", "2",
    )  # fmt: skip
    theirs.save_as(tmp_path / "theirs.dcm")
    found, expected = read_frames(pydicom.dcmread(tmp_path / "theirs.dcm")), read_frames(ours)
    # An only segment is named once, in the shared groups; planes are counted the other way.
    assert set(zip(found.segments.tolist(), found.sources, map(tuple, found.positions), strict=True)) == set(
        zip(expected.segments.tolist(), expected.sources, map(tuple, expected.positions), strict=True)
    )


def test_what_was_tampered_with_is_read_as_it_stands():
    stack = CORPUS["enhanced"]()
    ds = encode(stack)
    before = read_frames(ds)
    uid = before.sources[0][0].sop_instance_uid.encode()
    for old, new, read in (
        (uid, uid[:-1] + bytes([uid[-1] ^ 1]), lambda frames: frames.sources[0][0].sop_instance_uid),
        (b"-10", b"+99", lambda frames: frames.positions[0][0]),
        (b"\x0b\x00US\x02\x00\x01\x00", b"\x0b\x00US\x02\x00\x09\x00", lambda frames: frames.segments[0]),
        (b"\x57\x91UL\x08\x00\x01\x00", b"\x57\x91UL\x08\x00\x07\x00", lambda frames: frames.indices[0][0]),
    ):
        frames = read_frames(tamper(ds, old, new))
        assert read(frames) != read(before)
        assert len(frames) == len(before)


def tamper(ds, old, new):
    """A copy whose groups have `new` for the first `old`."""
    changed = copy.deepcopy(ds)
    element = ds.get_item(PER_FRAME)
    assert old in element.value
    changed[PER_FRAME] = element._replace(value=element.value.replace(old, new, 1))
    return changed


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"-10.0", b"-1.-0"), (b"-10.0\\", b"-10.00"), (b"US\x02\x00\x01\x00", b"US\x01\x00\x01\x00")],
    ids=["no number", "two values for a position", "a length that is wrong"],
)
def test_a_value_that_is_none_is_an_error_not_a_guess(old, new):
    ds = tamper(encode(CORPUS["plain"]()), old, new)
    with pytest.raises(ValueError, match=r"\w"):
        read_frames(ds)


def test_an_object_without_groups_is_an_error():
    with pytest.raises(KeyError, match="PerFrameFunctionalGroupsSequence"):
        read_frames(pydicom.Dataset())


@pytest.mark.parametrize("shape", [(5, 16, 24), (9, 13, 17), (9, 3, 5), (20, 64, 64)])
def test_bits_can_be_read_from_any_place_in_pieces_of_any_size(shape):
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 4, shape).astype(np.uint8)
    labels[:, :2] = labels[:, :, :1] = 0
    segments = tuple(make_segment(LabelMask(labels, n), str(n)) for n in (1, 2, 3))
    extents = find_extents(Result(segments, (make_finding("1"),)))
    planes = np.tile(np.arange(shape[0]), 3)
    every = [extent for extent in extents for _ in range(shape[0])]
    frames = PackedFrames(every, planes, shape[1], shape[2])
    bits = np.stack([labels[k] == extent.segment.label_mask.label for k, extent in zip(planes, every, strict=True)])
    expected = np.packbits(bits, bitorder="little").tobytes()
    expected += b"\0" * (len(expected) % 2)
    assert len(frames) == len(expected)
    assert frames.read() == expected
    assert frames.read() == b""
    for start, size in ((0, 1), (3, 10), (len(expected) - 1, 50), (len(expected) // 2, 7)):
        frames.seek(start)
        assert frames.read(size) == expected[start : start + size]
    frames.seek(0)
    assert b"".join(iter(lambda: frames.read(11), b"")) == expected
    assert frames.seek(-4, io.SEEK_END) == len(expected) - 4
    assert copy.deepcopy(frames).read() == expected


def test_long_pixel_data_is_packed_as_it_is_written_and_comes_back_alike(tmp_path):
    stack = make_stack(make_series((33, 1024, 520), voxels=np.zeros((33, 1024, 520), np.int16)))
    labels = np.zeros(stack.shape, np.uint8)
    for n in range(1, 9):
        labels[:, 100 * n : 100 * n + 50, 5 * n : 401 + n] = n
    result = Result(
        tuple(make_segment(LabelMask(labels, n), f"part-{n}") for n in range(1, 9)), (make_finding("part-1"),)
    )
    ds = encode_segmentation(stack, result, make_author())
    assert isinstance(ds.PixelData, PackedFrames)
    assert len(ds.PixelData) > IN_MEMORY_BYTES
    write_dicom(ds, tmp_path / "seg.dcm")
    written = pydicom.dcmread(tmp_path / "seg.dcm")
    assert len(written.PixelData) == len(ds.PixelData)
    bits = np.unpackbits(np.frombuffer(written.PixelData, np.uint8), bitorder="little").reshape(8, *stack.shape)
    assert all(np.array_equal(bits[n - 1], labels == n) for n in range(1, 9))


def test_shares_of_a_label_volume_make_the_object_that_arrays_make(stack, tmp_path):
    labels = np.zeros(stack.shape, np.uint16)
    labels[ellipsoid(stack.shape)] = 400
    labels[0, 0, :2] = 7
    shares = [make_segment(LabelMask(labels, n), f"part-{n}") for n in (7, 400)]
    arrays = [make_segment(labels == n, f"part-{n}") for n in (7, 400)]
    for name, segments in (("shares", shares), ("arrays", arrays)):
        ds = encode_segmentation(stack, Result(tuple(segments), (make_finding("part-7"),)), make_author())
        write_dicom(ds, tmp_path / name)
    assert (tmp_path / "shares").read_bytes() == (tmp_path / "arrays").read_bytes()
