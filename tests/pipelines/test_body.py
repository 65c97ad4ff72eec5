import numpy as np

from pipelines.steps.body import find_body
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
