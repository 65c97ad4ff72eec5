"""Which region of the body a CT shows: sure of lungs and of a brain in bone, of nothing else."""

import numpy as np
import pytest

from pipelines.steps.body_region import find_region, measure_profile
from pipelines.terms import Region, Sighting, Volume
from tests.pipelines.chest import make_affine, make_chest
from tests.pipelines.heads import make_ct_head

NOTHING = Sighting()


def test_lungs_in_a_trunk_are_surely_a_chest():
    assert find_region(make_chest()[0]) == Sighting(frozenset({Region.CHEST}), frozenset({Region.CHEST}))


def test_a_brain_in_bone_is_surely_a_head_even_where_a_piece_of_the_skull_is_missing():
    head = Sighting(frozenset({Region.HEAD}), frozenset({Region.HEAD}))
    assert find_region(make_ct_head()) == head
    assert find_region(make_ct_head(gap_mm=25.0)) == head


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_order_of_axes_and_their_direction_do_not_matter(axes):
    chest = make_chest()[0]
    affine = chest.affine.copy()
    affine[:3, 3] += affine[:3, 0] * (chest.shape[0] - 1)
    affine[:3, 0] *= -1
    turned = Volume(chest.voxels[::-1].transpose(axes).copy(), affine[:, [*axes, 3]], "1.2.3", "CT")
    assert find_region(turned) == find_region(chest)


def test_a_chest_without_air_is_never_surely_anything():
    assert find_region(make_chest(lungs=False)[0]).sure == frozenset()


def test_gas_in_the_bowel_is_no_lung():
    volume, right, left = make_chest()
    gas = Volume(np.where(right | left, np.float32(-1000), volume.voxels), volume.affine, "1.2.3", "CT")
    assert Region.CHEST not in find_region(gas).regions


def test_pelvis_is_told_from_abdomen_by_the_share_of_bone():
    abdomen = make_chest(lungs=False)[0]
    assert find_region(abdomen).regions == {Region.ABDOMEN}
    voxels = abdomen.voxels.copy()
    voxels[:, 30:60, 30:45] = voxels[:, 30:60, 85:100] = 600.0
    assert find_region(Volume(voxels, abdomen.affine, "1.2.3", "CT")).regions == {Region.PELVIS}


def test_a_few_planes_are_never_sure():
    chest = make_chest()[0]
    slab = Volume(chest.voxels[30:34].copy(), chest.affine, "1.2.3", "CT")
    assert find_region(slab) == Sighting(frozenset({Region.CHEST}))


@pytest.mark.parametrize(
    "volume",
    [
        Volume(make_chest()[0].voxels, make_affine(), "1.2.3", "MR"),
        Volume(np.full((20, 90, 130), np.nan, np.float32), make_affine(), "1.2.3", "CT"),
        Volume(np.full((20, 90, 130), 900, np.float32), make_affine(), "1.2.3", "CT"),
        Volume(np.full((20, 4, 4), -1000, np.float32), make_affine(), "1.2.3", "CT"),
    ],
    ids=["MR", "not numbers", "no air anywhere", "narrow"],
)
def test_what_cannot_be_measured_says_nothing(volume):
    assert measure_profile(volume) is None
    assert find_region(volume) == NOTHING


def test_all_air_says_nothing():
    voxels = np.full((20, 90, 130), -1000, np.float32)
    voxels[0, 0, 0] = 100
    assert find_region(Volume(voxels, make_affine(), "1.2.3", "CT")) == NOTHING
