"""Where segments lie is found by runs of labels; scipy, and the array itself, say where they do."""

import gc
import weakref

import numpy as np
import pytest
from scipy import ndimage

from node.dicom.extent import find_extents
from pipelines.terms import LabelMask, Result
from tests.results import make_finding, make_segment


def find(labels, numbers):
    segments = tuple(make_segment(LabelMask(labels, n), str(n)) for n in numbers)
    return {
        int(extent.segment.key): extent for extent in find_extents(Result(segments, (make_finding(str(numbers[0])),)))
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("shape", [(1, 1, 1), (7, 5, 3), (6, 31, 17), (3, 1, 40), (3, 40, 1)])
def test_extents_are_those_that_scipy_finds(shape, share, dtype):
    rng = np.random.default_rng(sum(shape))
    labels = np.where(rng.random(shape) < share, rng.integers(1, 6, shape), 0).astype(dtype)
    labels[0] = 2  # a plane of one label: its run goes on from row to row
    found = find(labels, range(1, 9))
    boxes = [*ndimage.find_objects(labels, 8)]
    assert {n for n, box in enumerate(boxes, 1) if box is not None} == set(found)
    for n, extent in found.items():
        _, rows, columns = boxes[n - 1]
        assert (extent.rows, extent.columns) == (rows, columns)
        assert extent.planes.tolist() == np.flatnonzero((labels == n).any(axis=(1, 2))).tolist()
        assert np.array_equal(extent.crop(extent.planes), (labels == n)[extent.planes, rows, columns])


def test_a_mask_of_its_own_and_a_label_of_the_same_voxels_have_the_same_extent():
    labels = np.zeros((4, 9, 9), np.uint8)
    labels[1:3, 2:8:5, 3:5] = 7
    segments = (make_segment(LabelMask(labels, 7), "shared"), make_segment(labels == 7, "own"))
    shared, own = find_extents(Result(segments, (make_finding("own"),)))
    assert (shared.rows, shared.columns, shared.planes.tolist()) == (own.rows, own.columns, own.planes.tolist())


def test_extents_are_found_once_and_end_with_their_result():
    segment = make_segment(np.ones((2, 3, 3), bool))
    result = Result((segment,), (make_finding(),))
    assert find_extents(result) is find_extents(result)
    gone = weakref.ref(find_extents(result)[0].segment.mask)
    del segment, result
    gc.collect()
    assert gone() is None
