"""Drawing: what is colored is what the mask says."""

import numpy as np

from node.dicom.overlay import OPACITY, enlarge, find_outline, find_size, shade

RED = (255, 0, 0)


def test_a_plane_is_shown_undistorted_and_as_large_as_fits():
    assert find_size((100, 200), (1.0, 1.0), (256, 256)) == (128, 256)
    assert find_size((100, 200), (4.0, 1.0), (256, 256)) == (256, 128)


def test_the_outline_is_the_rim_of_the_mask_and_nothing_else():
    mask = np.zeros((40, 50), dtype=bool)
    mask[10:30, 15:45] = True
    picture = shade(np.full((40, 50), 0.5, np.float32), (0.0, 1.0), [(mask, RED)], (40, 50))
    pure = (picture == RED).all(axis=2)
    expected = mask.copy()
    expected[11:29, 16:44] = False
    np.testing.assert_array_equal(pure, expected)


def test_the_fill_lets_the_image_through_and_leaves_the_rest_gray():
    mask = np.zeros((40, 50), dtype=bool)
    mask[10:30, 15:45] = True
    picture = shade(np.full((40, 50), 0.5, np.float32), (0.0, 1.0), [(mask, RED)], (40, 50))
    np.testing.assert_allclose(
        picture[20, 30], [127 * (1 - OPACITY) + 255 * OPACITY] + [127 * (1 - OPACITY)] * 2, atol=1
    )
    assert (picture[5, 5] == 127).all()


def test_an_outline_at_display_size_lies_on_the_masks_edge():
    rng = np.random.default_rng(1)
    mask = rng.random((9, 11)) > 0.5
    shown = enlarge(mask, (90, 110))
    np.testing.assert_array_equal(shown, np.kron(mask, np.ones((10, 10), dtype=bool)))
    assert (shown & find_outline(shown) == find_outline(shown)).all()
    assert find_outline(shown).sum() < shown.sum()


def test_what_is_small_is_not_lost_when_a_plane_is_shown_smaller():
    mask = np.zeros((512, 512), dtype=bool)
    mask[301, 77] = True
    shown = enlarge(mask, (200, 200))
    assert 1 <= shown.sum() <= 4
    assert shown[301 * 200 // 512, 77 * 200 // 512]
