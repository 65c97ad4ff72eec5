import numpy as np
import pytest

from pipelines.steps.morphology import close_ball, dilate_ball, erode_ball, open_ball


@pytest.fixture
def point():
    mask = np.zeros((21, 21, 21), dtype=bool)
    mask[10, 10, 10] = True
    return mask


def test_a_point_grows_to_a_ball_in_mm(point):
    ball = dilate_ball(point, 4.0, (4.0, 2.0, 1.0))
    assert [int(np.ptp(np.flatnonzero(ball.any(axis=axes)))) for axes in ((1, 2), (0, 2), (0, 1))] == [2, 4, 8]


def test_erosion_undoes_dilation_of_a_ball(point):
    ball = dilate_ball(point, 6.0, 1.0)
    assert 0 < erode_ball(ball, 3.0, 1.0).sum() < ball.sum()
    assert open_ball(ball, 3.0, 1.0).sum() > 0.85 * ball.sum()


def test_opening_takes_the_thin_and_closing_fills_the_narrow(point):
    bar = np.zeros_like(point)
    bar[5:16, 5:16, 5:16] = True
    spike = bar.copy()
    spike[10, 10, 16:] = True
    assert not open_ball(spike, 2.0, 1.0)[10, 10, 20]
    slit = bar.copy()
    slit[10] = False
    assert close_ball(slit, 2.0, 1.0)[10, 8:13, 8:13].all()


def test_nothing_and_everything_stay(point):
    nothing, everything = np.zeros_like(point), np.ones_like(point)
    assert not dilate_ball(nothing, 3.0, 1.0).any()
    assert erode_ball(everything, 3.0, 1.0).all()
