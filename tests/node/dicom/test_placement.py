"""Planes on an upright grid and back: linear fields come through exactly, and a ball stays where it is."""

import numpy as np
import pytest

from node.dicom.placement import FINE_MM, lay_mask, lay_values, place_planes, slide
from tests.balls import (
    ball_series,
    centroid,
    dice,
    grid_places,
    in_grid,
    make_depths,
    on_planes,
    places,
    stack_of,
    surface_errors,
    tilted_head,
)
from tests.results import SAGITTAL, TURNED

CASES = [
    (degrees, spacing, jitter)
    for degrees in (0, 5, 15, 30)
    for spacing in (1.0, 2.5, 5.0)
    for jitter in (0.0, 0.2, 0.4)
    if degrees or jitter
]


def make_case(degrees, spacing, jitter, seed=0):
    orientation = tilted_head(degrees)
    return ball_series(make_depths(spacing, 12.0, jitter, seed), orientation=orientation, tilt=degrees)


@pytest.mark.parametrize(("degrees", "spacing", "jitter"), CASES)
def test_a_ball_found_on_the_upright_grid_is_laid_within_half_a_millimeter(degrees, spacing, jitter):
    slices = make_case(degrees, spacing, jitter)
    placement = place_planes(stack_of(slices))
    laid = lay_mask(in_grid(placement.shape, placement.affine), placement)
    truth = on_planes(slices)
    assert np.linalg.norm(centroid(slices, laid) - centroid(slices, truth)) < 0.5
    assert surface_errors(slices, laid).mean() < 0.5
    assert dice(laid, truth) > 0.95


@pytest.mark.parametrize(("degrees", "spacing", "jitter"), CASES)
def test_a_map_that_is_linear_in_the_patient_is_exact_on_each_plane(degrees, spacing, jitter):
    slices = make_case(degrees, spacing, jitter)
    placement = place_planes(stack_of(slices))
    field = grid_places(placement.shape, placement.affine) @ [0.3, -0.7, 0.5]
    laid = lay_values(field.astype(np.float32), placement)
    expected = np.stack([places(ds) for ds in slices]) @ [0.3, -0.7, 0.5]
    inner = (slice(None), slice(1, -1), slice(1, -1))  # at the rim half a pixel may lie beyond the last one
    np.testing.assert_allclose(laid[inner], expected[inner], atol=0.01)


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), SAGITTAL, TURNED])
@pytest.mark.parametrize("towards", [0.0, 2.0, 4.0])
@pytest.mark.parametrize("reverse", [False, True])
def test_the_grid_is_orthogonal_even_and_covers_every_plane(orientation, towards, reverse):
    slices = ball_series(make_depths(2.5), orientation=orientation, tilt=20, towards=towards)
    slices = slices[::-1] if reverse else slices
    placement = place_planes(stack_of(slices))
    axes = placement.affine[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    np.testing.assert_allclose(spacing, (2.5, 0.8, 0.7), atol=1e-5)
    np.testing.assert_allclose((axes / spacing).T @ (axes / spacing), np.eye(3), atol=1e-6)
    corners = np.stack([places(ds)[[0, 0, -1, -1], [0, -1, 0, -1]] for ds in slices])
    inverse = np.linalg.inv(placement.affine)
    indices = corners @ inverse[:3, :3].T + inverse[:3, 3]
    assert indices.min() > -0.5 - 1e-6
    assert (indices < np.array(placement.shape) - 0.5 + 1e-6).all()
    np.testing.assert_allclose(indices[:, 0, 0], np.arange(len(slices)), atol=1e-4)


def test_an_even_tilted_stack_keeps_its_planes_and_no_row_is_wasted():
    slices = ball_series(make_depths(5.0), orientation=tilted_head(15), tilt=15)
    placement = place_planes(stack_of(slices))
    np.testing.assert_array_equal(placement.depths, np.arange(len(slices)))
    assert set(placement.rests[:, 1]) == {0.0}  # a tilt towards the rows' normal shifts no column
    shift = (len(slices) - 1) * 5.0 * np.tan(np.radians(15)) / 0.8
    assert placement.shape[1] <= np.ceil(slices[0].Rows + shift + 1)
    assert placement.shape[2] == slices[0].Columns


@pytest.mark.parametrize("spacing", [0.6, 1.0, 5.0])
def test_the_grid_of_uneven_planes_is_fine_so_that_each_plane_is_near_one_of_its_own(spacing):
    slices = ball_series(make_depths(spacing, 6.0, 0.4), 6.0)
    placement = place_planes(stack_of(slices))
    step = np.linalg.norm(placement.affine[:3, 0])
    usual = np.median(np.diff([float(ds.ImagePositionPatient[2]) for ds in slices]))
    assert step <= min(usual, FINE_MM) * 1.02
    assert np.abs(placement.depths - np.rint(placement.depths)).max() * step <= 0.5
    assert (placement.depths[0], placement.depths[-1]) == (0, placement.shape[0] - 1)


def test_rounding_of_the_header_moves_and_blurs_nothing():
    slices = ball_series(make_depths(0.625), orientation=tilted_head(10), tilt=10)
    for ds in slices:
        ds.ImagePositionPatient = [round(float(v), 3) for v in ds.ImagePositionPatient]
    placement = place_planes(stack_of(slices))
    np.testing.assert_array_equal(placement.depths, np.arange(len(slices)))
    assert not placement.rests[:, 1].any()


def test_rests_are_even_on_average_so_that_no_object_moves_as_a_whole():
    half = np.degrees(np.arctan(0.5 * 0.8 / 2.5))  # half a pixel from plane to plane
    slices = ball_series(make_depths(2.5), orientation=tilted_head(half), tilt=half)
    rests = place_planes(stack_of(slices)).rests[:, 0]
    assert abs(rests.mean()) < 0.02
    assert np.abs(rests).max() < 0.3


def test_sliding_samples_further_on_and_repeats_the_edge():
    ramp = np.add.outer(10 * np.arange(4), np.arange(5)).astype(np.float32)
    np.testing.assert_allclose(slide(ramp, np.array([0.25, -0.5]))[:3, 1:], ramp[:3, 1:] + 2.5 - 0.5)
    np.testing.assert_allclose(slide(ramp, np.array([0.25, 0.0]))[3], ramp[3])
    assert slide(ramp, np.zeros(2)) is ramp


def test_what_is_thinner_than_the_gap_between_planes_is_laid_on_the_nearest():
    slices = ball_series(make_depths(5.0, 12.0, 0.3), tilt=10)
    placement = place_planes(stack_of(slices))
    between = int(np.rint(placement.depths[2] + 0.4 * (placement.depths[3] - placement.depths[2])))
    mask = np.zeros(placement.shape, bool)
    mask[between, 30:33, 28:30] = True
    laid = lay_mask(mask, placement)
    assert np.flatnonzero(laid.any(axis=(1, 2))).tolist() == [2]
    assert laid.sum() == 6


def test_planes_out_of_order_are_no_stack():
    slices = ball_series(make_depths(2.5), tilt=10)
    slices[3], slices[4] = slices[4], slices[3]
    with pytest.raises(ValueError, match="order"):
        place_planes(stack_of(slices))
