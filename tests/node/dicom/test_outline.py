"""Outlines hold exactly the mask's pixels, and few points do."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from node.dicom.outline import trace_outlines


def fill(outlines, shape):
    """The pixels (rows, columns) whose centers lie inside of `outlines` by the even-odd rule: crossings to the left.

    Written from the definition of PIXEL units (PS3.3 C.10.5.1.2) alone: the center of pixel (j, i) is i + 0.5, j + 0.5.
    """
    filled = np.zeros(shape, bool)
    centers = np.arange(shape[1]) + 0.5
    for outline in outlines:
        points = outline.astype(float)
        for (x0, y0), (x1, y1) in pairwise(points):
            low, high = min(y0, y1), max(y0, y1)
            for j in range(max(0, int(np.floor(low - 0.5))), min(shape[0], int(np.ceil(high + 0.5)))):
                y = j + 0.5
                if low <= y < high:
                    filled[j] ^= centers > x0 + (y - y0) * (x1 - x0) / (y1 - y0)
    return filled


def make_blobs(seed, shape=(60, 70), smooth=2.5, level=0.0):
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, smooth) > level


MASKS = {
    "one pixel": np.array([[True]]),
    "one pixel amid": np.pad(np.array([[True]]), 3),
    "the whole plane": np.ones((5, 7), bool),
    "ring": np.pad(~np.pad(np.ones((2, 3), bool), 2), 1),
    "two that meet in a corner": np.array([[1, 0, 0], [0, 1, 1], [0, 1, 1]], bool),
    "holes that meet in a corner": ~np.pad(np.array([[1, 0], [0, 1]], bool), 1),
    "checkers": np.indices((6, 7)).sum(axis=0) % 2 == 0,
    "one row": np.array([[1, 1, 0, 1]], bool),
    "comb": np.repeat(np.array([[1, 0, 1, 0, 1]], bool), 9, axis=0) | (np.arange(9)[:, None] == 8),
    "island in a lake": np.pad(~np.pad(~np.pad(np.ones((3, 3), bool), 2), 2), 1),
    **{f"noise {seed}": np.random.default_rng(seed).random((23, 31)) > 0.5 for seed in range(5)},
    **{f"blobs {seed}": make_blobs(seed) for seed in range(5)},
    **{f"fine blobs {seed}": make_blobs(seed, smooth=0.8) for seed in range(3)},
}


@pytest.mark.parametrize("name", MASKS)
def test_what_is_filled_again_is_the_mask(name):
    mask = MASKS[name]
    np.testing.assert_array_equal(fill(trace_outlines(mask), mask.shape), mask)


@pytest.mark.parametrize("name", MASKS)
def test_outlines_are_closed_and_stay_within_the_image(name):
    mask = MASKS[name]
    for outline in trace_outlines(mask):
        assert outline.dtype == np.float32
        assert len(outline) >= 4
        assert (outline[0] == outline[-1]).all()
        assert (outline >= 0).all()
        assert (outline <= (mask.shape[1], mask.shape[0])).all()


def test_each_part_and_each_hole_has_one_outline():
    assert len(trace_outlines(MASKS["ring"])) == 2
    assert len(trace_outlines(MASKS["two that meet in a corner"])) == 2
    assert len(trace_outlines(MASKS["island in a lake"])) == 4 - 1
    for seed in range(5):
        mask = MASKS[f"blobs {seed}"]
        parts = ndimage.label(mask)[1]
        holes = ndimage.label(np.pad(~mask, 1, constant_values=True), structure=np.ones((3, 3)))[1] - 1
        assert len(trace_outlines(mask)) == parts + holes


def test_an_empty_plane_has_no_outline():
    assert trace_outlines(np.zeros((4, 5), bool)) == []


def test_a_curve_lies_within_a_pixel_of_the_edge():
    mask = make_blobs(3)
    edge = mask ^ ndimage.binary_erosion(mask, border_value=0)
    rows, columns = np.nonzero(edge)
    for outline in trace_outlines(mask):
        for x, y in outline:
            assert np.hypot(columns + 0.5 - x, rows + 0.5 - y).min() < 1.0


def test_a_round_thing_of_512_pixels_needs_few_points():
    j, i = np.ogrid[:512, :512]
    mask = (j - 256) ** 2 + (i - 256) ** 2 < 240**2
    (outline,) = trace_outlines(mask)
    assert len(outline) < 130
    np.testing.assert_array_equal(fill([outline], mask.shape), mask)
