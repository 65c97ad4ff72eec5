"""What was written as a Segmentation comes back as the segments that it was made of, on the stack's own grid."""

import numpy as np
import pytest

from node.dicom.read_segmentation import Unfit, read_segmentation
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from tests.results import CORPUS, RIGHT, make_author, make_result, make_segment, make_stack
from tests.series import make_series


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("count", [1, 3])
def test_every_segment_comes_back_with_every_voxel_and_every_word(name, count, tmp_path):
    stack = CORPUS[name]()
    result = make_result(stack.shape, count)
    write_dicom(encode_segmentation(stack, result, make_author()), tmp_path / "seg.dcm")
    found = read_segmentation(tmp_path / "seg.dcm", stack)
    assert list(found) == [segment.key for segment in result.segments]
    for segment in result.segments:
        there = found[segment.key]
        assert there.mask.dtype == np.bool_
        assert np.array_equal(there.mask, segment.mask)
        for word in ("key", "label", "category", "kind", "site", "laterality", "color"):
            assert getattr(there, word) == getattr(segment, word)


def test_the_planes_may_be_in_another_order(tmp_path):
    slices = make_series()
    stack, turned = make_stack(slices), make_stack(slices[::-1])
    result = make_result(stack.shape, 1)
    write_dicom(encode_segmentation(stack, result, make_author()), tmp_path / "seg.dcm")
    (there,) = read_segmentation(tmp_path / "seg.dcm", turned).values()
    assert np.array_equal(there.mask[::-1], result.segments[0].mask)


def test_a_side_without_a_region_belongs_to_the_thing_itself(tmp_path):
    stack = CORPUS["plain"]()
    result = make_result(stack.shape, 1)
    segment = make_segment(result.segments[0].mask, site=None, laterality=RIGHT)
    result = type(result)((segment,), result.findings)
    write_dicom(encode_segmentation(stack, result, make_author()), tmp_path / "seg.dcm")
    (there,) = read_segmentation(tmp_path / "seg.dcm", stack).values()
    assert (there.site, there.laterality) == (None, RIGHT)


def test_fewer_planes_than_were_segmented_are_another_grid(tmp_path):
    slices = make_series((8, 16, 18))
    stack = make_stack(slices)
    write_dicom(encode_segmentation(stack, make_result(stack.shape), make_author()), tmp_path / "seg.dcm")
    with pytest.raises(Unfit, match="between the images"):
        read_segmentation(tmp_path / "seg.dcm", make_stack(slices[:4]))


def test_a_file_that_is_not_there_is_no_segmentation_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_segmentation(tmp_path / "seg.dcm", CORPUS["plain"]())
