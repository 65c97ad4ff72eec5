import numpy as np
import pytest

from pipelines.lung_seg.postprocess import keep_lungs


@pytest.fixture
def block():
    probability = np.zeros((30, 40, 40), dtype=np.float32)
    probability[5:25, 5:35, 5:20] = 0.9
    return probability, np.full(probability.shape, -850, dtype=np.float32)


def test_a_small_part_beside_a_lung_is_dropped(block):
    probability, hu = block
    with_crumb = probability.copy()
    with_crumb[10:13, 10:13, 30:33] = 0.9
    assert (keep_lungs(with_crumb, hu, 3.0) == (probability > 0.5)).all()


def test_pure_gas_is_no_lung(block):
    probability, hu = block
    probability[5:25, 5:35, 25:35] = 0.9
    hu[:, :, 22:] = -995
    kept = keep_lungs(probability, hu, 3.0)
    assert kept[:, :, :22].any()
    assert not kept[:, :, 22:].any()


def test_a_vessel_inside_is_filled(block):
    probability, hu = block
    probability[10:15, 10:15, 10:15] = 0.1
    assert keep_lungs(probability, hu, 3.0)[10:15, 10:15, 10:15].all()


def test_a_wide_but_thin_sheet_is_no_lung(block):
    probability, hu = block
    probability[:] = 0
    probability[12:18] = 0.9
    assert probability.sum() * 0.027 > 100
    assert not keep_lungs(probability, hu, 3.0).any()


def test_less_than_50_ml_is_nothing(block):
    probability, hu = block
    probability[:, :, 7:] = 0
    assert probability.sum() > 0
    assert not keep_lungs(probability, hu, 3.0).any()
