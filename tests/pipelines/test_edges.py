import numpy as np
import pytest

from pipelines.steps.edges import SIDES, find_cut_sides


@pytest.mark.parametrize("side", SIDES)
def test_a_structure_at_the_edge_is_cut_on_that_side(side):
    mask = np.zeros((12, 12, 12), dtype=bool)
    axis, direction = SIDES[side]
    core = [slice(3, 9)] * 3
    core[axis] = slice(3, 12) if direction > 0 else slice(0, 9)
    mask[tuple(core)] = True
    assert find_cut_sides(mask, np.ones_like(mask), 3.0) == (side,)


def test_a_structure_within_is_cut_nowhere():
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[3:9, 3:9, 3:9] = True
    assert find_cut_sides(mask, np.ones_like(mask), 3.0) == ()


def test_the_border_of_the_unknown_is_an_edge_too():
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[3:9, 3:9, 3:9] = True
    known = np.ones_like(mask)
    known[9:] = False
    assert find_cut_sides(mask, known, 3.0) == ("top",)


def test_a_touch_smaller_than_the_area_is_no_cut():
    mask = np.zeros((12, 12, 12), dtype=bool)
    mask[:, 5, 5] = True
    assert find_cut_sides(mask, np.ones_like(mask), 3.0) == ()
