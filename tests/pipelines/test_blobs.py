"""Balls and what is dense around them."""

import numpy as np
import pytest

from pipelines.steps.blobs import SIGMAS_MM, find_blobs
from pipelines.steps.density_type import DensityType, get_solid_share, name_density
from pipelines.steps.grow import grow, measure_disc
from pipelines.steps.logistic import fit_logistic, predict_logistic
from pipelines.steps.three_planes import SIDE, take_planes
from tests.pipelines.lumps import SHAPE, SPACING, make_lung


def make_ball(shape, center, radius, mm):
    away = np.linalg.norm((np.moveaxis(np.indices(shape), 0, -1) - center) * mm, axis=-1)
    return (np.clip((radius - away) / mm + 0.5, 0, 1) * 850 - 850).astype(np.float32)


@pytest.mark.parametrize("radius", [3.0, 6.0, 10.0])
def test_a_ball_is_the_strongest_blob_at_the_scale_of_its_size(radius):
    values = make_ball((40, 42, 44), (20, 19, 23), radius, 1.25)
    blob = find_blobs(values, np.ones(values.shape, bool), 1.25, 75.0, 50)[0]
    assert np.abs(np.array(blob.index) - (20, 19, 23)).max() <= 1
    best = min(SIGMAS_MM, key=lambda sigma: abs(np.log(sigma * np.sqrt(3) / radius)))
    assert blob.sigma_mm == best


def test_blobs_elsewhere_too_weak_or_beyond_the_number_are_left_out():
    values = np.maximum(make_ball((30, 40, 60), (15, 20, 15), 4, 1.25), make_ball((30, 40, 60), (15, 20, 45), 4, 1.25))
    where = np.ones(values.shape, bool)
    assert len(find_blobs(values, where, 1.25, 300.0, 50)) == 2
    assert len(find_blobs(values, where, 1.25, 300.0, 1)) == 1
    assert find_blobs(values, where, 1.25, 2000.0, 50) == []
    where[:, :, 30:] = False
    assert [blob.index[2] for blob in find_blobs(values, where, 1.25, 300.0, 50)] == [15]


def test_a_grown_ball_has_the_ball_s_size_and_place():
    volume, _ = make_lung([((22, 40, 30), 6.0, 20.0)])
    grown = grow(volume.voxels, SPACING, (21.0, 41.0, 31.0))
    assert np.linalg.norm((np.array(grown.center) - (22, 40, 30)) * SPACING) < 0.7
    assert grown.diameter_mm == pytest.approx(12.0, abs=0.8)


def test_a_vessel_that_leads_to_a_nodule_is_left_outside():
    vessel = [((22, 40, i), 1.3, 20.0) for i in range(30, 60)]
    alone, _ = make_lung([((22, 40, 30), 5.0, 20.0)])
    fed, _ = make_lung([((22, 40, 30), 5.0, 20.0), *vessel])
    sizes = []
    for volume in (alone, fed):
        grown = grow(volume.voxels, SPACING, (22.0, 40.0, 30.0))
        sizes.append(np.count_nonzero(grown.mask))
        assert grown.box[2].start + np.flatnonzero(grown.mask.any(axis=(0, 1))).max() < 38
    assert sizes[1] == pytest.approx(sizes[0], rel=0.2)


def test_nothing_grows_in_mere_lung():
    volume, _ = make_lung()
    assert grow(volume.voxels, SPACING, (22.0, 40.0, 30.0)) is None


def test_the_disc_of_a_ball_is_its_largest_circle():
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    mask = np.linalg.norm((index - (20, 40, 44)) * SPACING, axis=-1) <= 9.0
    disc = measure_disc(mask, SPACING)
    assert disc.center == pytest.approx((20, 40, 44))
    assert disc.diameter_mm == pytest.approx(18.0, abs=0.4)


@pytest.mark.parametrize(
    ("core", "rim", "name"),
    [(0.0, 0.0, DensityType.SOLID), (-600.0, -600.0, DensityType.GROUND_GLASS), (0.0, -600.0, DensityType.PART_SOLID)],
)
def test_density_is_named_by_the_share_that_is_solid(core, rim, name):
    away = np.linalg.norm(np.moveaxis(np.indices((21, 21, 21)), 0, -1) - 10.0, axis=-1)
    hu = np.where(away <= 5.0, core, rim).astype(np.float32)
    assert name_density(get_solid_share(hu, away <= 8.0, (1.0, 1.0, 1.0))) is name


def test_a_rim_that_holds_lung_does_not_make_a_solid_nodule_part_solid():
    away = np.linalg.norm(np.moveaxis(np.indices((9, 9, 9)), 0, -1) - 4.0, axis=-1)
    hu = np.where(away <= 2.0, 0.0, -500.0).astype(np.float32)
    assert name_density(get_solid_share(hu, away <= 2.5, (0.7, 0.7, 0.7))) is DensityType.SOLID


def test_planes_are_taken_where_they_lie_and_go_on_at_the_edge():
    k, j, i = np.indices((10, 60, 60)).astype(np.float32)
    planes = take_planes(k * 100 + j, (2.0, 1.0, 1.0), (5.0, 30.0, 30.0), 16.0, 3.0)
    assert planes.shape == (3, SIDE, SIDE)
    assert (planes[2] - planes[1]).mean() == pytest.approx(150.0)
    assert np.diff(planes[1], axis=0).mean() == pytest.approx(16.0 / SIDE)
    assert planes[1].mean() == pytest.approx(530.0)
    beyond = take_planes(k * 100, (2.0, 1.0, 1.0), (9.0, 30.0, 30.0), 16.0, 3.0)
    assert beyond[2].mean() == beyond[1].mean() == 900.0
    columns = take_planes(i, (2.0, 1.0, 1.0), (5.0, 30.0, 2.0), 16.0, 0.0)
    assert columns[1].min() == 0.0


def test_a_logistic_fit_is_where_the_likelihood_is_greatest():
    random = np.random.default_rng(0)
    numbers = random.normal(size=(4000, 2))
    answers = random.random(4000) < predict_logistic(np.array([1.5, -0.5, 0.3]), numbers)
    found = fit_logistic(numbers, answers)
    assert found == pytest.approx([1.5, -0.5, 0.3], abs=0.15)
    assert predict_logistic(found, numbers).mean() == pytest.approx(answers.mean(), abs=1e-3)


def test_numbers_that_part_the_two_kinds_without_error_still_have_a_fit():
    found = fit_logistic(np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([False, False, True, True]))
    assert np.isfinite(found).all()
