"""Contours hold the pixels of a mask, all of them and no others, and holes stay holes whoever fills them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from node.dicom.contours import trace_contours

MANY = 1_000_000


def trace(rows, most_points=MANY):
    """Polygons of one plane, drawn with # for what is inside."""
    mask = np.array([[letter == "#" for letter in row] for row in rows])
    return [polygon.tolist() for _, polygon in trace_contours(mask[np.newaxis], most_points)]


def count_around(polygon, shape):
    """(crossings, winding number) of `polygon` as seen from the center of each pixel along a ray that slants, so that
    it never runs along an edge."""
    centers = np.stack(np.meshgrid(np.arange(shape[0]), np.arange(shape[1]), indexing="ij"), axis=-1) + 0.5
    a, b = polygon.astype(float), np.roll(polygon, -1, axis=0).astype(float)
    heights = [(p[:, 0] - p[:, 1] * 0.001)[None, None] - (centers @ [1, -0.001])[..., None] for p in (a, b)]
    rising, falling = (heights[0] < 0) & (heights[1] >= 0), (heights[0] >= 0) & (heights[1] < 0)
    share = -heights[0] / np.where(rising | falling, heights[1] - heights[0], 1)
    where = a[None, None, :, 1] + share * (b - a)[None, None, :, 1]
    ahead = where > centers[..., 1:2]
    return (ahead & (rising | falling)).sum(axis=2), (ahead & rising).sum(axis=2) - (ahead & falling).sum(axis=2)


def area(polygon):
    (rows, columns), (to_rows, to_columns) = polygon.T, np.roll(polygon, -1, axis=0).T
    return abs(int((columns * to_rows - to_columns * rows).sum())) / 2


masks = arrays(np.bool_, st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)))


@settings(max_examples=150)
@given(masks, st.sampled_from([MANY, 16, 4]))
def test_whoever_fills_them_gets_the_mask_back(mask, most_points):
    crossings, windings, areas = np.zeros(mask.shape, int), np.zeros(mask.shape, int), 0.0
    for plane, polygon in trace_contours(mask, most_points):
        crossed, wound = count_around(polygon, mask.shape[1:])
        crossings[plane] += crossed
        windings[plane] += wound
        assert np.array_equal(crossed % 2 == 1, wound != 0), "even-odd and non-zero fill differ"
        areas += area(polygon)
    assert np.array_equal(crossings % 2 == 1, mask), "XOR of all contours"
    assert set(np.unique(np.abs(windings))) <= {0, 1}, "contours overlap"
    assert areas == mask.sum()


@settings(max_examples=150)
@given(masks, st.sampled_from([MANY, 16, 4]))
def test_vertices_are_few_and_none_follows_itself(mask, most_points):
    for _, polygon in trace_contours(mask, most_points):
        steps = np.roll(polygon, -1, axis=0) - polygon
        assert 4 <= len(polygon) <= most_points
        assert ((steps == 0).sum(axis=1) == 1).all(), "each edge runs along a row or a column"


def test_a_pixel_is_a_square_around_its_center():
    assert trace(["...", ".#.", "..."]) == [[[1, 1], [1, 2], [2, 2], [2, 1]]]


def test_a_mask_up_to_the_border_is_traced_along_the_border():
    assert trace(["###", "###"]) == [[[0, 0], [0, 3], [2, 3], [2, 0]]]


def test_a_hole_hangs_by_a_channel_at_twelve_o_clock_on_one_polygon():
    (polygon,) = trace(["####", "####", "#..#", "####"])
    assert polygon.count([0, 1]) == 2
    assert polygon.count([2, 1]) == 2
    assert len(polygon) == 4 + 4 + 1 + 2


def test_an_island_in_a_hole_is_a_polygon_of_its_own():
    polygons = trace(["#####", "#...#", "#.#.#", "#...#", "#####"])
    assert [[2, 2], [2, 3], [3, 3], [3, 2]] in polygons
    assert len(polygons) == 2


def test_a_hole_below_a_hole_hangs_on_the_upper_one():
    (polygon,) = trace(["###", "#.#", "###", "#.#", "###"])
    assert polygon.count([2, 1]) == 2
    assert polygon.count([3, 1]) == 2


@pytest.mark.parametrize("rows", [["#.", ".#"], [".#", "#."]])
def test_pixels_that_touch_at_a_corner_alone_are_apart(rows):
    assert [len(polygon) for polygon in trace(rows)] == [4, 4]


def test_holes_that_touch_at_a_corner_are_one():
    (polygon,) = trace(["####", "#.##", "##.#", "####"])
    assert area(np.array(polygon)) == 14


def test_a_long_polygon_is_cut_into_strips_that_share_their_edges():
    comb = ["#" * 21, *["#." * 10 + "#"] * 3]
    (whole,) = trace(comb)
    strips = trace(comb, len(whole) // 2)
    assert len(strips) > 1
    assert sum(area(np.array(strip)) for strip in strips) == area(np.array(whole))


def test_nothing_has_no_contour():
    assert trace(["...", "..."]) == []
