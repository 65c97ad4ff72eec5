"""Long and short axes: known shapes give known lengths, and turning or mirroring a region changes none."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipelines.steps.axes import find_axes, find_longest_axes, with_axes
from pipelines.terms import Axes, Code, Finding, Result, Segment
from pipelines.terms.region import LESION

ABNORMAL = Code(*LESION, "Morphologically Abnormal Structure")
NODULE = Code("27925004", "SCT", "Nodule")


def ellipse(long_mm, short_mm, degrees, spacing, side=96):
    """A mask (j, i) of the ellipse with these diameters; degrees: of its long axis from the rows' direction."""
    j, i = np.mgrid[:side, :side] - (side - 1) / 2
    y, x = j * spacing[0], i * spacing[1]
    turn = math.radians(degrees)
    u, v = x * math.cos(turn) + y * math.sin(turn), y * math.cos(turn) - x * math.sin(turn)
    return (2 * u / long_mm) ** 2 + (2 * v / short_mm) ** 2 <= 1


def length(ends, spacing):
    return math.hypot(*((a - b) * mm for a, b, mm in zip(*ends, spacing, strict=True)))


def angle(axes, spacing):
    """Degrees between the two axes in the patient, not in pixels."""
    one, other = ((np.array(ends[1]) - ends[0]) * spacing for ends in (axes.long, axes.short))
    return math.degrees(math.acos(abs(one @ other) / np.linalg.norm(one) / np.linalg.norm(other)))


@pytest.mark.parametrize("spacing", [(1.0, 1.0), (0.7, 0.7), (1.2, 0.6)])
@pytest.mark.parametrize("degrees", [0, 17, 45, 60, 90, 133])
@pytest.mark.parametrize(("long_mm", "short_mm"), [(40, 20), (30, 26), (50, 8)])
def test_an_ellipse_at_any_angle_has_the_axes_it_was_drawn_with(long_mm, short_mm, degrees, spacing):
    axes = find_axes(ellipse(long_mm, short_mm, degrees, spacing), spacing)
    assert axes.long_mm == pytest.approx(long_mm, abs=1.25 * max(spacing))  # the tips are thinner than a pixel
    assert axes.short_mm == pytest.approx(short_mm, abs=max(spacing))
    (j0, i0), (j1, i1) = axes.long
    found = math.degrees(math.atan2((j1 - j0) * spacing[0], (i1 - i0) * spacing[1]))
    assert abs((found - degrees + 90) % 180 - 90) < (20 if long_mm - short_mm < 5 else 6)


def test_one_pixel_is_as_long_as_its_longer_edge():
    mask = np.zeros((7, 9), bool)
    mask[4, 6] = True
    assert find_axes(mask, (1.5, 0.5)) == Axes(0, ((3.5, 6.0), (4.5, 6.0)), ((4.0, 5.5), (4.0, 6.5)), 1.5, 0.5)


def test_a_row_of_pixels_is_as_long_as_the_row_and_as_wide_as_a_pixel():
    mask = np.zeros((5, 30), bool)
    mask[2, 3:23] = True
    axes = find_axes(mask, (0.8, 0.5))
    assert (axes.long_mm, axes.short_mm) == (pytest.approx(10.0), pytest.approx(0.8))
    assert axes.long == ((2.0, 2.5), (2.0, 22.5))


def test_a_ring_is_measured_across_its_hole():
    outer, hole = ellipse(40, 30, 30, (1, 1)), ellipse(30, 20, 30, (1, 1))
    assert find_axes(outer & ~hole, (1, 1)) == find_axes(outer, (1, 1))


def test_a_caliper_is_laid_across_a_notch():
    mask = np.zeros((30, 30), bool)
    mask[5:25, 5:25] = True
    whole = find_axes(mask, (1, 1))
    mask[12:18, 5:15] = False
    assert find_axes(mask, (1, 1)) == whole


def test_an_empty_mask_has_no_axes():
    with pytest.raises(ValueError, match="empty"):
        find_axes(np.zeros((4, 4), bool), (1, 1))
    assert find_longest_axes(np.zeros((3, 4, 4), bool), (1, 1, 1)) is None


def test_the_plane_is_the_one_with_the_longest_axis_not_the_largest_area():
    mask = np.zeros((4, 40, 40), bool)
    mask[1, 10:25, 10:25] = True
    mask[2, 20, 2:32] = True
    axes = find_longest_axes(mask, (3.0, 1.0, 1.0))
    assert (axes.plane, axes.long_mm) == (2, pytest.approx(30.0))


def test_a_plane_whose_rectangle_is_larger_does_not_hide_one_with_a_longer_axis():
    mask = np.zeros((3, 40, 40), bool)
    mask[0] = ellipse(20, 20, 0, (1, 1), side=40)
    mask[2, 20, 5:29] = True
    axes = find_longest_axes(mask, (3.0, 1.0, 1.0))
    assert (axes.plane, axes.long_mm) == (2, pytest.approx(24.0))


def test_of_equally_long_planes_the_one_with_the_longer_short_axis_is_taken():
    mask = np.zeros((3, 20, 20), bool)
    mask[0, 10, 4:16] = mask[1, 10, 4:16] = mask[2, 10, 4:16] = True
    mask[1, 8, 9:11] = True
    assert find_longest_axes(mask, (1, 1, 1)).plane == 1


def test_only_lesions_get_axes_and_those_of_a_pipeline_stay():
    own = Axes(0, ((0.0, 0.0), (0.0, 9.0)), ((0.0, 4.0), (3.0, 4.0)), 9.0, 3.0)
    mask = np.ones((2, 4, 4), bool)
    organ = Code("123037004", "SCT", "Anatomical Structure")
    segments = [
        Segment("lesion", "l", ABNORMAL, NODULE, mask),
        Segment("measured", "m", ABNORMAL, NODULE, mask),
        Segment("empty", "e", ABNORMAL, NODULE, ~mask),
        Segment("organ", "o", organ, NODULE, mask),
    ]
    findings = [Finding(s.key, NODULE, segment_key=s.key, axes=own if s.key == "measured" else None) for s in segments]
    result = with_axes(Result(tuple(segments), (*findings, Finding("absent", NODULE, absent=True))), (2.0, 1.0, 1.0))
    lesion, measured, *others = (finding.axes for finding in result.findings)
    assert lesion.long_mm == pytest.approx(5.0), "from corner pixel to corner pixel, edge to edge: 4 by 3"
    assert measured is own
    assert others == [None, None, None]


masks = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.booleans()).filter(np.any)
spacings = st.tuples(st.floats(0.2, 5), st.floats(0.2, 5))


def lengths(axes):
    return pytest.approx((axes.long_mm, axes.short_mm), rel=1e-6)


@settings(max_examples=150)
@given(masks, spacings)
def test_turned_or_mirrored_a_region_is_as_long_and_as_wide(mask, spacing):
    axes = find_axes(mask, spacing)
    for changed in (mask[::-1], mask[:, ::-1], mask[::-1, ::-1]):
        turned = find_axes(changed, spacing)
        assert (turned.long_mm, turned.short_mm) == lengths(axes)
    for changed in (mask.T, np.rot90(mask), np.rot90(mask, 3)):
        turned = find_axes(changed, spacing[::-1])
        assert (turned.long_mm, turned.short_mm) == lengths(axes)


@settings(max_examples=150)
@given(masks, spacings)
def test_the_long_axis_is_the_longest_distance_on_the_outline_and_the_short_one_stands_on_it(mask, spacing):
    axes = find_axes(mask, spacing)
    edges = np.concatenate([np.argwhere(mask) + step for step in ((0, 0.5), (0, -0.5), (0.5, 0), (-0.5, 0))]) * spacing
    assert axes.long_mm == pytest.approx(np.linalg.norm(edges[:, None] - edges[None], axis=2).max())
    assert length(axes.long, spacing) == pytest.approx(axes.long_mm)
    assert length(axes.short, spacing) == pytest.approx(axes.short_mm)
    assert angle(axes, spacing) > 89.9


@settings(max_examples=100)
@given(masks, spacings)
def test_no_chord_of_the_hull_across_the_long_axis_is_longer_than_the_short_one(mask, spacing):
    axes = find_axes(mask, spacing)
    edges = np.concatenate([np.argwhere(mask) + step for step in ((0, 0.5), (0, -0.5), (0.5, 0), (-0.5, 0))]) * spacing
    start, end = (np.array(point) * spacing for point in axes.long)
    along = (end - start) / np.linalg.norm(end - start)
    side = (edges - start) @ np.array([-along[1], along[0]])
    place = (edges - start) @ along
    pairs = np.abs(place[:, None] - place[None]) < 1e-9
    assert np.abs(side[:, None] - side[None])[pairs].max() <= axes.short_mm + 1e-6
    assert side.max() - side.min() >= axes.short_mm - 1e-6
