import numpy as np
import pytest

from pipelines.errors import UnsuitableVolume
from pipelines.steps.intensity import check_hounsfield, hide_padding


@pytest.mark.parametrize(
    ("voxels", "reason"),
    [
        ([0.0, np.nan, -1000.0], "finite"),
        ([0.0, np.inf, -1000.0], "finite"),
        ([-1000.0, -1000.0, -1000.0], "no image"),
        ([0.0, 700.0, 1024.0], "not Hounsfield"),
        ([-1024.0, -990.0, -800.0], "nothing but air"),
    ],
)
def test_what_cannot_be_a_patient_in_hu_is_refused(voxels, reason):
    with pytest.raises(UnsuitableVolume, match=reason):
        check_hounsfield(np.array(voxels, dtype=np.float32))


def test_padding_becomes_unknown_and_the_source_stays():
    hu = np.array([[[-3024.0, -1000.0, 40.0]]], dtype=np.float32)
    hidden = hide_padding(hu, -1500)
    assert np.isnan(hidden).tolist() == [[[True, False, False]]]
    assert hu[0, 0, 0] == -3024.0


def test_without_padding_nothing_is_copied():
    hu = np.array([[[-1024.0, 40.0]]], dtype=np.float32)
    assert hide_padding(hu, -1500) is hu
