"""The box around a mask, and back."""

import numpy as np
import pytest

from pipelines.terms import Box


def test_the_box_holds_all_voxels_and_no_more():
    mask = np.zeros((5, 6, 7), bool)
    mask[1, 2, 3] = mask[3, 2, 6] = True
    box = Box.around(mask)
    assert box == Box((0.5, 1.5, 2.5), (3.5, 2.5, 6.5))
    filled = box.to_mask(mask.shape)
    assert int(filled.sum()) == 3 * 1 * 4
    assert filled[mask].all()
    assert Box.around(filled) == box


def test_a_box_beyond_the_volume_fills_what_is_inside():
    assert Box((-3, -3, -3), (0.2, 9, 1)).to_mask((4, 4, 4)).sum() == 1 * 4 * 2
    assert not Box((-3, -3, -3), (-1, 9, 1)).to_mask((4, 4, 4)).any()


def test_an_empty_mask_has_no_box():
    with pytest.raises(ValueError, match="empty"):
        Box.around(np.zeros((2, 2, 2), bool))
