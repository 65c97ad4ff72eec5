import numpy as np

from pipelines.steps.body import find_body, find_outside
from tests.pipelines.chest import make_chest


def test_the_body_holds_its_lungs_and_not_the_table():
    volume, right, left = make_chest((6.0, 6.0, 6.0))
    hu = volume.voxels.copy()
    hu[:, 43, 5:60] = 200
    body = find_body(hu, 6.0)
    assert body[right | left].mean() > 0.99
    assert not body[:, 43].any()
    assert not body[:, 0].any()


def test_air_alone_has_no_body():
    assert not find_body(np.full((4, 5, 6), -1000, dtype=np.float32), 2.0).any()


def test_air_and_table_are_outside_and_lungs_are_not():
    volume, right, left = make_chest((6.0, 6.0, 6.0))
    hu = volume.voxels.copy()
    hu[:, 43, 5:60] = 200
    outside = find_outside(hu, 6.0)
    assert outside[:, 43].all()
    assert outside[:, 0].all()
    assert not outside[right | left].any()


def test_a_lung_at_the_edge_of_a_small_field_of_view_is_inside():
    volume, right, left = make_chest((6.0, 6.0, 6.0))
    view = (slice(None), slice(12, 34), slice(14, 50))
    assert (right | left)[view][:, :, 0].any()
    assert not find_outside(volume.voxels[view], 6.0)[(right | left)[view]].any()


def test_air_all_around_is_outside_whatever_its_number():
    volume, right, left = make_chest((6.0, 6.0, 6.0))
    hu = np.where(volume.voxels < -940, volume.voxels + 150, volume.voxels)
    outside = find_outside(hu, 6.0)
    assert outside[:, 0].all()
    assert not outside[right | left].any()
