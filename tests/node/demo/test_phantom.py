"""The chest that was made: as large, as dense and as true as it says."""

import numpy as np
import pytest
from scipy import ndimage

from node.demo.phantom import SPACING_MM, make_chest


@pytest.fixture(scope="module")
def chest():
    return make_chest(7)


def place(chest, center):
    """Index (k, j, i) of a point in mm."""
    return tuple(round(v) for v in np.linalg.solve(chest.affine, [*center, 1.0])[:3])


def test_the_lungs_have_the_size_of_an_adults(chest):
    assert 2000 < chest.right_ml < 2600
    assert 1700 < chest.left_ml < 2200
    assert chest.left_ml < chest.right_ml
    voxel_ml = np.prod(SPACING_MM) / 1000
    assert chest.right_ml == pytest.approx(np.count_nonzero(chest.lungs == 1) * voxel_ml)
    assert chest.left_ml == pytest.approx(np.count_nonzero(chest.lungs == 2) * voxel_ml)


def test_the_right_lung_lies_to_the_patients_right(chest):
    for label, sign in ((1, -1), (2, 1)):
        middle = np.mean(np.argwhere(chest.lungs == label), axis=0)
        x, _, _ = (chest.affine @ [*middle, 1.0])[:3]
        assert sign * x > 40


@pytest.mark.parametrize("label", [1, 2])
def test_each_lung_is_one_piece_and_wholly_in_view(chest, label):
    lung = chest.lungs == label
    sizes = np.bincount(ndimage.label(lung)[0].ravel())[1:]
    assert sizes.max() > 0.995 * sizes.sum()
    for axis in range(3):
        assert not lung.take(0, axis).any()
        assert not lung.take(-1, axis).any()


def test_tissues_have_their_hounsfield_units(chest):
    assert -890 < np.median(chest.voxels[chest.lungs > 0]) < -820
    assert np.median(chest.voxels[:, :20, :20]) == pytest.approx(-1000, abs=15)
    assert chest.voxels[place(chest, (-70, 0, 30))] == pytest.approx(95, abs=90)  # liver
    windpipe = chest.voxels[place(chest, (0, 24, 215))]
    assert windpipe < -900
    assert chest.lungs[place(chest, (0, 24, 215))] == 0
    assert np.count_nonzero(chest.voxels > 350) * np.prod(SPACING_MM) / 1000 > 250  # bone, mL
    assert chest.voxels.min() >= -1024


def test_vessels_run_through_the_lungs(chest):
    inner = ndimage.binary_erosion(chest.lungs > 0, iterations=4)
    share = np.mean(chest.voxels[inner] > -500)
    assert 0.02 < share < 0.12


def test_each_nodule_lies_in_a_lung_and_fills_its_volume(chest):
    assert [round(nodule.volume_ml, 2) for nodule in chest.nodules] == [0.18, 0.52, 1.44, 3.59]
    k, j, i = np.ogrid[tuple(slice(n) for n in chest.lungs.shape)]
    x, y, z = (chest.affine[n, 3] + chest.affine[n, 2 - n] * axis for n, axis in enumerate((i, j, k)))
    for nodule in chest.nodules:
        radius = (3 * nodule.volume_ml * 1000 / (4 * np.pi)) ** (1 / 3)
        left, back, up = nodule.center
        ball = (x - left) ** 2 + (y - back) ** 2 + (z - up) ** 2 < radius**2
        assert np.count_nonzero(ball) * np.prod(SPACING_MM) / 1000 == pytest.approx(nodule.volume_ml, rel=0.15)
        assert (chest.lungs[ball] > 0).all()
        assert np.median(chest.voxels[ball]) > -250  # the smallest is two planes thick: all of it is edge


def test_the_same_seed_makes_the_same_chest(chest):
    again = make_chest(7)
    np.testing.assert_array_equal(again.voxels, chest.voxels)
    assert again.nodules == chest.nodules
