import numpy as np
import pytest

from pipelines.evaluation.dice import get_dice


def test_dice_of_half_overlap_is_a_half():
    a, b = np.zeros((2, 10), dtype=bool)
    a[:6], b[3:9] = True, True
    assert get_dice(a, b) == pytest.approx(0.5)


def test_two_empty_masks_agree_and_one_alone_does_not():
    nothing, something = np.zeros(4, dtype=bool), np.ones(4, dtype=bool)
    assert get_dice(nothing, nothing) == 1.0
    assert get_dice(nothing, something) == 0.0
