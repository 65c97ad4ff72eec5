import numpy as np

from pipelines.lung_seg.airways import find_airways
from tests.pipelines.chest import make_chest


def test_the_trachea_is_found_and_no_lung_is():
    volume, right, left = make_chest((3.0, 3.0, 3.0))
    hu = volume.voxels.copy()
    hu[right | left] = -930
    found = find_airways(hu, 3.0)
    lumen = (hu < -950) & ~(right | left)
    lumen[:, :, :50] = lumen[:, :, -50:] = lumen[:, :30] = lumen[:, -30:] = False
    assert lumen.sum() > 500
    assert found[lumen].mean() > 0.95
    assert found[right | left].mean() < 0.01


def test_a_bronchus_within_lung_stays():
    hu = np.full((10, 30, 30), -850, dtype=np.float32)
    hu[:, 13:16, 13:16] = -990
    assert not find_airways(hu, 3.0).any()
