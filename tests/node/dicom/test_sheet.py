"""What a sheet shows of a volume, and where its sides are."""

import numpy as np
import pytest

from node.dicom.lettering import Lettering
from node.dicom.sheet import (
    LUNG_WINDOW,
    SOFT_WINDOW,
    Line,
    Tile,
    choose_window,
    draw_sheet,
    find_number,
    name_side,
    spread_planes,
)
from pipelines.terms import Volume

PLAIN = Lettering(())


def make_volume(voxels, modality="CT", affine=None):
    return Volume(voxels.astype(np.float32), np.eye(4)[[2, 1, 0, 3]] if affine is None else affine, "1.2", modality)


@pytest.mark.parametrize(
    ("direction", "side"),
    [
        ((1, 0, 0), "L"),
        ((-1, 0, 0), "R"),
        ((0, -3, 0), "A"),
        ((0, 0, 1), "H"),
        ((-0.5, -0.8, 0), "AR"),
        ((0.01, 0, -1), "F"),
        ((0.6, 0.5, 0.4), "LPH"),
    ],
)
def test_a_direction_is_named_by_the_patients_sides(direction, side):
    assert name_side(np.array(direction, float)) == side


def test_planes_are_spread_over_what_was_touched():
    touched = np.zeros(100, bool)
    touched[30:60] = True
    planes = spread_planes(touched, 12)
    assert (len(planes), planes[0], planes[-1]) == (12, 31, 58)
    assert spread_planes(np.zeros(3, bool), 20) == [0, 1, 2]
    touched[:] = False
    touched[7] = True
    assert spread_planes(touched, 20) == [7]


def test_a_chest_is_windowed_for_what_was_found_in_it():
    volume = make_volume(np.zeros((3, 4, 4)))
    whole = np.ones((4, 4), bool)
    assert choose_window(volume, [(np.full((4, 4), -800, np.float32), whole)]) == LUNG_WINDOW
    assert choose_window(volume, [(np.full((4, 4), 40, np.float32), whole)]) == SOFT_WINDOW


def test_small_dense_things_in_the_lungs_are_shown_as_lungs_are():
    voxels = np.full((3, 200, 200), -850.0, np.float32)
    voxels[:, :100] = 40
    small, large = np.zeros(voxels.shape, bool), np.zeros(voxels.shape, bool)
    small[1, 150:158, 50:58], large[1, 110:190, 10:90] = True, True
    voxels[small] = 40
    volume = make_volume(voxels)
    assert choose_window(volume, [(voxels, small)]) == LUNG_WINDOW
    assert choose_window(volume, [(voxels[1], small[1])]) == LUNG_WINDOW
    beside = np.roll(small, -130, axis=1)
    assert choose_window(volume, [(voxels, beside)]) == SOFT_WINDOW
    assert choose_window(volume, [(voxels, small), (voxels, beside)]) == SOFT_WINDOW  # not most of them
    voxels[large] = 40
    assert choose_window(volume, [(voxels, large)]) == SOFT_WINDOW


def test_a_number_is_written_beside_its_part():
    volume, mask = make_volume(np.zeros((1, 40, 40))), np.zeros((40, 40), bool)
    mask[20:24, 20:24] = True
    one, other = (
        draw_sheet(volume, [Tile(0, "", ((mask, (230, 60, 90)),), names)], (0, 1), [], [], PLAIN)
        for names in ((), (find_number("Nodule 3"),))
    )
    rows, columns = np.nonzero((one != other).any(axis=2))
    assert 0.5 < columns.min() / 640 < 0.65
    assert 0.4 < rows.max() / one.shape[0] < 0.55
    assert find_number("Right lung") == ""


def test_without_a_unit_the_gray_spans_the_volumes_own_values():
    voxels = np.random.default_rng(1).permutation(np.linspace(0, 1000, 64 * 64 * 8)).reshape(8, 64, 64)
    low, high = choose_window(make_volume(voxels, "MR"), [])
    assert low == pytest.approx(10, abs=5)
    assert high == pytest.approx(995, abs=10)


def test_tiles_lie_in_the_order_of_planes_with_their_gray():
    voxels = np.zeros((4, 8, 8)) + np.array([0, 80, 160, 240])[:, None, None]
    tiles = [Tile(k, "") for k in range(4)]
    page = draw_sheet(make_volume(voxels, "MR"), tiles, (0.0, 255.0), [], [], PLAIN)
    middle = page.shape[0] // 4
    columns = 3
    for k in range(3):
        assert page[page.shape[0] // 4 + 40, k * 1280 // columns + 200, 0] == pytest.approx(80 * k, abs=1)
    assert page[page.shape[0] // 2 + middle + 40, 200, 0] == pytest.approx(240, abs=1)


def test_a_long_line_is_broken_and_a_letter_without_a_font_does_not_stop_the_drawing():
    tiles = [Tile(0, "image 1")]
    volume = make_volume(np.zeros((2, 8, 8)))
    short = draw_sheet(volume, tiles, (0, 1), [], [Line("肺 word")], PLAIN)
    long = draw_sheet(volume, tiles, (0, 1), [], [Line("word " * 80)], PLAIN)
    assert long.shape[0] > short.shape[0] + 30
    assert long.shape[1] == short.shape[1] == 1280
