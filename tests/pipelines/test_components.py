import numpy as np

from pipelines.steps.components import fill_holes, fill_small_holes, keep_larger_than, keep_largest, label_components


def make_boxes():
    mask = np.zeros((6, 10, 20), dtype=bool)
    mask[1:5, 1:9, 1:9] = True
    mask[1:4, 1:5, 11:15] = True
    mask[0, 0, 19] = True
    return mask


def test_sizes_count_each_part_and_not_the_background():
    _, sizes = label_components(make_boxes())
    assert sorted(sizes.tolist()) == [0, 1, 48, 256]


def test_the_largest_are_kept_in_number():
    assert keep_largest(make_boxes()).sum() == 256
    assert keep_largest(make_boxes(), 2).sum() == 304
    assert keep_largest(make_boxes(), 9).sum() == 305


def test_an_empty_mask_has_no_largest():
    empty = np.zeros((3, 3, 3), dtype=bool)
    assert not keep_largest(empty).any()
    assert not keep_larger_than(empty, 0).any()


def test_small_parts_are_dropped_by_size():
    assert keep_larger_than(make_boxes(), 48).sum() == 304
    assert keep_larger_than(make_boxes(), 49).sum() == 256


def test_neighbors_share_a_face():
    mask = np.zeros((2, 2, 2), dtype=bool)
    mask[0, 0, 0] = mask[1, 1, 1] = True
    assert keep_largest(mask).sum() == 1


def test_a_tunnel_is_filled_only_plane_by_plane():
    mask = make_boxes()
    mask[:, 3:5, 3:5] = False
    assert fill_holes(mask).sum() == mask.sum()
    assert fill_holes(mask, axis=0).sum() == make_boxes().sum()
    cavity = make_boxes()
    cavity[2:4, 3:5, 3:5] = False
    assert (fill_holes(cavity) == make_boxes()).all()


def test_small_holes_are_filled_and_large_ones_stay():
    mask = np.zeros((3, 20, 20), dtype=bool)
    mask[:, 1:19, 1:19] = True
    mask[:, 3:5, 3:5] = mask[:, 8:16, 8:16] = False
    filled = fill_small_holes(mask, 10)
    assert filled[:, 3:5, 3:5].all()
    assert not filled[:, 8:16, 8:16].any()
