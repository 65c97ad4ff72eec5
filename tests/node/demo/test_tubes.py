"""Tubes cover what they should, and trees branch by Murray's law."""

import numpy as np
import pytest

from node.demo.tubes import Lattice, Tube, cover, follow, grow_tree


@pytest.fixture
def lattice():
    return Lattice(np.arange(-20.0, 21.0), np.arange(-15.0, 16.0), np.arange(0.0, 60.0, 2.0))


def test_a_tube_covers_its_own_volume(lattice):
    tube = Tube(np.array([-3.0, 2.0, 10.0]), np.array([4.0, -2.0, 40.0]), 6.0, 6.0)
    length = np.linalg.norm(tube.end - tube.start)
    expected = np.pi * 36 * length + 4 / 3 * np.pi * 216
    assert cover([tube], lattice).sum() * 2.0 == pytest.approx(expected, rel=0.02)


def test_a_tube_thinner_than_a_pixel_is_dim(lattice):
    tube = Tube(np.array([0.0, 0.0, 10.0]), np.array([0.0, 0.0, 40.0]), 0.2, 0.2)
    assert 0.05 < cover([tube], lattice).max() < 0.5


def test_a_tube_outside_of_the_lattice_covers_nothing(lattice):
    assert not cover([Tube(np.full(3, 200.0), np.full(3, 220.0), 5.0, 5.0)], lattice).any()


def test_a_line_of_points_becomes_tubes_end_to_end():
    first, second = follow([(0, 0, 0), (0, 0, 5), (0, 3, 9)], [2, 1.5, 1])
    np.testing.assert_array_equal(first.end, second.start)
    assert (first.radius, first.end_radius, second.end_radius) == (2, 1.5, 1)


def test_daughters_of_a_branch_share_its_cube():
    rng = np.random.default_rng(1)
    cloud = rng.uniform(-50, 50, (400, 3))
    tubes = grow_tree(np.array([60.0, 0.0, 0.0]), cloud, 7.0, rng)
    first = [tube for tube in tubes if tuple(tube.start) == (60.0, 0.0, 0.0)]
    assert len(first) == 2
    assert sum(tube.end_radius**3 for tube in first) == pytest.approx(7.0**3)


def test_a_tree_reaches_every_part_of_its_cloud():
    rng = np.random.default_rng(2)
    cloud = rng.uniform(-50, 50, (400, 3))
    ends = np.array([tube.end for tube in grow_tree(np.array([60.0, 0.0, 0.0]), cloud, 7.0, rng)])
    nearest = np.linalg.norm(cloud[:, None] - ends[None], axis=2).min(axis=1)
    assert np.percentile(nearest, 95) < 20
