"""Labels laid on other grids."""

import numpy as np

from pipelines.steps.nearest import lay_labels
from pipelines.steps.resample import Grid

LABELS = np.arange(1, 61, dtype=np.uint8).reshape(3, 4, 5)
AFFINE = np.array([[1.0, 0, 0, 10], [0, 2.0, 0, -5], [0, 0, 1.5, 3], [0, 0, 0, 1]])


def test_labels_on_their_own_grid_are_the_same():
    np.testing.assert_array_equal(lay_labels(LABELS, AFFINE, Grid(LABELS.shape, AFFINE)), LABELS)


def test_a_flipped_and_permuted_grid_gets_the_labels_of_its_places():
    flipped = AFFINE.copy()
    flipped[:3, 3] += AFFINE[:3, 1] * 3
    flipped[:3, 1] *= -1
    laid = lay_labels(LABELS, AFFINE, Grid((5, 3, 4), flipped[:, [2, 0, 1, 3]]))
    np.testing.assert_array_equal(laid, LABELS[:, ::-1].transpose(2, 0, 1))


def test_a_finer_grid_repeats_every_label_alike():
    fine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    fine[:3, 3] -= AFFINE[:3, :3].sum(axis=1) / 4
    laid = lay_labels(LABELS, AFFINE, Grid((6, 8, 10), fine))
    np.testing.assert_array_equal(laid, LABELS.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def test_beyond_the_labels_is_background():
    moved = AFFINE.copy()
    moved[0, 3] += 2.0
    laid = lay_labels(LABELS, AFFINE, Grid(LABELS.shape, moved))
    np.testing.assert_array_equal(laid[0], LABELS[2])
    assert not laid[1:].any()


def test_an_oblique_grid_finds_the_label_at_each_center():
    turn = np.eye(4)
    turn[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    grid = Grid((4, 4, 4), turn @ AFFINE)
    laid = lay_labels(LABELS, AFFINE, grid)
    inverse = np.linalg.inv(AFFINE)
    for index in np.ndindex(4, 4, 4):
        place = np.floor((inverse @ grid.affine @ [*index, 1.0])[:3] + 0.5).astype(int)
        inside = (place >= 0).all() and (place < LABELS.shape).all()
        assert laid[index] == (LABELS[tuple(place)] if inside else 0)
