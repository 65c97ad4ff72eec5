"""Segments of one label volume share it: each has its mask when asked, and none costs a volume of its own."""

import copy
import pickle

import numpy as np
import pytest

from pipelines.terms import Code, LabelMask, Segment

CODE = Code("1", "99TEST", "a thing")


def make_segment(mask):
    return Segment("thing", "Thing", CODE, CODE, mask)


def labels():
    volume = np.zeros((3, 4, 5), np.uint8)
    volume[1, 2:, 3:] = 7
    return volume


def test_the_mask_of_a_share_is_where_the_volume_has_its_label():
    segment = make_segment(LabelMask(labels(), 7))
    assert segment.mask.dtype == np.bool_
    assert np.array_equal(segment.mask, labels() == 7)
    assert (segment.shape, segment.is_empty) == ((3, 4, 5), False)
    assert make_segment(LabelMask(labels(), 6)).is_empty


def test_an_array_is_kept_as_it_is():
    mask = labels() == 7
    segment = make_segment(mask)
    assert segment.mask is mask
    assert segment.label_mask is None
    assert (segment.shape, segment.is_empty) == ((3, 4, 5), False)
    assert make_segment(np.zeros((1, 1, 1), bool)).is_empty


def test_shares_of_one_volume_hold_the_same_memory():
    volume = labels()
    shares = [make_segment(LabelMask(volume, n)).label_mask for n in (1, 7)]
    assert all(share.labels is volume for share in shares)


def test_a_share_survives_a_copy_and_a_pickle():
    segment = make_segment(LabelMask(labels(), 7))
    for other in (copy.deepcopy(segment), pickle.loads(pickle.dumps(segment))):
        assert other.label_mask.label == 7
        assert np.array_equal(other.mask, segment.mask)


def test_a_segment_stays_frozen_and_needs_a_mask():
    with pytest.raises(AttributeError):
        make_segment(labels() == 7).mask = labels() == 6
    with pytest.raises(TypeError, match="mask"):
        Segment("thing", "Thing", CODE, CODE)


@pytest.mark.parametrize(
    ("volume", "label"),
    [(labels().astype(np.int64), 7), (labels()[0], 7), (labels(), 0), (labels(), 256)],
    ids=["int64", "a plane", "background", "beyond 8 bits"],
)
def test_what_is_no_share_of_a_label_volume_is_refused(volume, label):
    with pytest.raises(ValueError, match="label"):
        LabelMask(volume, label)
