import math

import numpy as np
import pytest

from pipelines.steps.measure import Density, measure_density


def test_count_mean_and_low_share_of_a_mask():
    hu = np.array([[[-1000.0, -960.0, -800.0, 40.0]], [[-700.0, 0.0, 0.0, 0.0]]], dtype=np.float32)
    density = measure_density(hu, hu < -500, -950.0)
    assert density.voxels == 4
    assert density.mean_hu == pytest.approx(-865.0)
    assert density.low_percent == pytest.approx(50.0)


def test_densities_of_two_parts_add_up():
    hu = np.linspace(-1000, 0, 60, dtype=np.float32).reshape(3, 4, 5)
    low = hu < -600
    parts = measure_density(hu, low, -950.0) + measure_density(hu, ~low, -950.0)
    whole = measure_density(hu, np.ones_like(low), -950.0)
    assert (parts.voxels, parts.low) == (whole.voxels, whole.low)
    assert parts.mean_hu == pytest.approx(whole.mean_hu)


def test_no_voxels_have_no_mean():
    assert math.isnan(Density(0, 0.0, 0).mean_hu)
    assert math.isnan(Density(0, 0.0, 0).low_percent)
