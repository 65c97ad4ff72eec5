import numpy as np
import pytest

from pipelines.lung_seg.sides import LEFT, RIGHT, split_sides
from tests.pipelines.chest import make_chest


@pytest.fixture(scope="module")
def chest():
    volume, right, left = make_chest((3.0, 3.0, 3.0))
    return volume.voxels > -300, right, left


def test_the_right_lung_lies_at_smaller_x(chest):
    tissue, right, left = chest
    sides = split_sides(right | left, tissue, 3.0)
    assert (sides[right] == RIGHT).all()
    assert (sides[left] == LEFT).all()


def test_touching_lungs_are_parted_at_the_narrow(chest):
    tissue, right, left = chest
    bridge = np.zeros_like(right)
    bridge[40:60, 30:38, 55:75] = True
    sides = split_sides(right | left | bridge, tissue, 3.0)
    assert (sides[right & ~bridge] == RIGHT).mean() > 0.975
    assert (sides[left & ~bridge] == LEFT).mean() > 0.975


@pytest.mark.parametrize("side", [RIGHT, LEFT])
def test_a_lung_alone_is_named_by_the_body(chest, side):
    tissue, right, left = chest
    lung = right if side == RIGHT else left
    assert (split_sides(lung, tissue, 3.0)[lung] == side).all()


def test_pieces_in_a_low_slab_each_find_their_side(chest):
    tissue, right, left = chest
    pieces = right | left
    pieces[:, 40:55] = False
    sides = split_sides(pieces[20:28], tissue[20:28], 3.0)
    assert (sides[pieces[20:28] & right[20:28]] == RIGHT).all()
    assert (sides[pieces[20:28] & left[20:28]] == LEFT).all()


def test_a_lung_that_reaches_over_the_middle_stays_whole(chest):
    tissue, right, left = chest
    tongue = right.copy()
    tongue[45:60, 36:40, 55:72] = True
    left_rest = left & ~tongue
    left_rest[44:61, 35:41] &= np.arange(130) > 76
    sides = split_sides(tongue | left_rest, tissue, 3.0)
    assert (sides[tongue] == RIGHT).all()


def test_no_lung_has_no_side():
    nothing = np.zeros((4, 5, 6), dtype=bool)
    assert not split_sides(nothing, ~nothing, 3.0).any()


@pytest.mark.parametrize("side", [RIGHT, LEFT])
def test_a_lung_alone_in_a_small_field_of_view_is_named_by_the_mediastinum(chest, side):
    tissue, right, left = chest
    view = (slice(None), slice(20, 70), slice(18, 66) if side == RIGHT else slice(64, 112))
    lung = (right if side == RIGHT else left)[view]
    assert (split_sides(lung, tissue[view], 3.0)[lung] == side).all()
