"""Objects of a job are in the outbox together and whole, or not at all."""

import numpy as np
import pydicom
import pytest

from node.dicom.packed_frames import PackedFrames
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation
from node.outbound.outbox import Shelf, put_objects
from pipelines.terms import LabelMask, Result
from tests.results import make_author, make_finding, make_result, make_segment, make_stack
from tests.series import make_series


@pytest.fixture
def pair():
    """A segmentation and its report."""
    stack, author = make_stack(make_series()), make_author()
    result = make_result(stack.shape, 2)
    segmentation = encode_segmentation(stack, result, author)
    return [segmentation, encode_report(stack, result, author, segmentation)]


def list_files(outbox):
    return sorted(path.name for path in outbox.rglob("*") if path.is_file())


def test_what_was_begun_and_what_was_not_lie_there_whole(pair, tmp_path):
    with Shelf(tmp_path, "job") as shelf:
        shelf.begin(pair[0])
        objects = shelf.keep(pair, {str(pair[0].SOPInstanceUID): "2.25.9"})
    assert list_files(tmp_path) == sorted(f"{ds.SOPInstanceUID}.dcm" for ds in pair)
    for ds, item in zip(pair, objects, strict=True):
        written = pydicom.dcmread(tmp_path / item.path)
        assert written == ds
        assert (item.sop_instance_uid, item.series_uid) == (ds.SOPInstanceUID, ds.SeriesInstanceUID)
    assert [item.substitute for item in objects] == ["2.25.9", ""]


def test_nothing_is_seen_before_all_is_kept_and_nothing_is_left_of_what_was_not(pair, tmp_path):
    with pytest.raises(RuntimeError, match="the gate"), Shelf(tmp_path, "job") as shelf:
        shelf.begin(pair[0])
        raise RuntimeError("the gate")
    assert list_files(tmp_path) == []
    with Shelf(tmp_path, "job") as shelf:
        shelf.begin(pair[0])
        assert not list(tmp_path.rglob("[!.]*.dcm"))
        shelf.keep(pair[1:])
    assert list_files(tmp_path) == [f"{pair[1].SOPInstanceUID}.dcm"]


def test_a_disk_that_cannot_take_it_is_an_error_and_leaves_nothing(pair, tmp_path):
    folder = tmp_path / "job"
    with pytest.raises(OSError), Shelf(tmp_path, "job") as shelf:
        folder.rmdir()
        shelf.begin(pair[0])
        shelf.keep(pair)
    assert list_files(tmp_path) == []


@pytest.mark.parametrize("columns", [520, 517])
def test_a_long_object_is_written_beside_while_it_is_read(columns, tmp_path):
    shape = (66, 1024, columns)
    stack = make_stack(make_series(shape, voxels=np.zeros(shape, np.int16)))
    labels = np.zeros(shape, np.uint8)
    for n in range(1, 5):
        labels[:, 100 * n : 100 * n + 50, 5 * n : 401 + n] = n
    segments = tuple(make_segment(LabelMask(labels, n), f"part-{n}") for n in range(1, 5))
    ds = encode_segmentation(stack, Result(segments, (make_finding("part-1"),)), make_author())
    assert isinstance(ds.PixelData, PackedFrames)
    with Shelf(tmp_path, "job") as shelf:
        shelf.begin(ds)
        read = ds.PixelData.read()
        (item,) = shelf.keep([ds])
    assert pydicom.dcmread(tmp_path / item.path).PixelData == read


def test_a_rerun_writes_the_same_files_again(pair, tmp_path):
    first = put_objects(tmp_path, "job", pair)
    before = {item.path: (tmp_path / item.path).read_bytes() for item in first}
    assert put_objects(tmp_path, "job", pair) == first
    assert {item.path: (tmp_path / item.path).read_bytes() for item in first} == before
