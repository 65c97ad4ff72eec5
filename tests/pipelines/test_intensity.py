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
    hu = np.array([[[-3024.0, -1000.0, 40.0], [0.0, 7.0, 9.0]], [[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]], dtype=np.float32)
    hidden = hide_padding(hu, -1500)
    assert np.flatnonzero(np.isnan(hidden)).tolist() == [0]
    assert hu[0, 0, 0] == -3024.0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_corners_outside_a_circle_are_unknown_though_written_as_air(axis):
    hu = np.random.default_rng(0).normal(-900, 20, (6, 160, 160)).astype(np.float32).clip(-1024)
    j, i = np.ogrid[:160, :160]
    beyond = (j - 79.5) ** 2 + (i - 79.5) ** 2 > 80**2
    hu[:, beyond] = -1024.0
    hidden = np.isnan(np.moveaxis(hide_padding(np.moveaxis(hu, 0, axis), -1500), axis, 0))
    assert not hidden[:, ~beyond].any()
    assert hidden[:, beyond].mean() > 0.9


def test_clipped_noise_in_a_stack_of_few_planes_is_measured_air():
    hu = np.random.default_rng(0).normal(-1024, 30, (3, 60, 60)).astype(np.float32).clip(-1024)
    hu[:, :10] = -1024.0
    hidden = np.isnan(hide_padding(hu, -1500))
    assert hidden[:, :10].all()
    assert not hidden[:, 11:].any()


def test_without_padding_nothing_is_copied():
    hu = np.array([[[-1024.0, 40.0], [3.0, 5.0]], [[2.0, 40.0], [3.0, 5.0]]], dtype=np.float32)
    assert hide_padding(hu, -1500) is hu
