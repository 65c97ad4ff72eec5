"""The inverse consistency error is the distance that is known, at its place, however a volume is stored; and no value
stands where there is none."""

import numpy as np
import pytest
from scipy import ndimage

from pipelines.registration.consistency import NOTHING, draw_inverse_errors, measure_inverse_errors
from pipelines.terms import Field, Registration, Volume
from tests.pipelines.chest import make_affine, make_chest
from tests.pipelines.registration.test_rigid import store_sideways
from tests.pipelines.registration.volumes import cut, make_motion, move

MOTION = make_motion((4, -3, 6), (30, -40, 200))
"""From this study to the earlier one."""
SHIFT = np.array([3.0, -4.0, 12.0])
QUIET = lambda _: None  # noqa: E731
LOW, HIGH = (-250, -200, -200), (250, 200, 200)


@pytest.fixture(scope="module")
def chest():
    return make_chest((10.0, 6.0, 6.0), (240.0, 260.0, 380.0))[0]


def make_field(find_vectors, motion=None, spacing=10.0):
    """A field whose vectors at points (n, 3) are `find_vectors` of them; its grid covers the chest, or where `motion`
    takes the chest."""
    middle = np.zeros(3) if motion is None else motion[:3, 3]
    first = middle + np.array(LOW[::-1], float)
    affine = make_affine((spacing,) * 3, first)
    shape = tuple(int((b - a) / spacing) + 1 for a, b in zip(LOW, HIGH, strict=True))
    index = np.stack([axis.ravel() for axis in np.mgrid[tuple(map(slice, shape))]], axis=1)
    places = index @ affine[:3, :3].T + affine[:3, 3]
    return Field(find_vectors(places).reshape(*shape, 3).astype(np.float32), affine)


def everywhere(vector):
    return lambda points: np.broadcast_to(np.asarray(vector, float), points.shape)


def bump(center, vector, width_mm=20.0):
    """`vector` at `center`, and less and less of it around."""
    return lambda points: (
        np.exp(-(((points - center) / width_mm) ** 2).sum(axis=1))[:, None] * np.asarray(vector, float)
    )


def lay(find_vectors=None):
    """This study on the earlier one."""
    field = make_field(find_vectors) if find_vectors is not None else None
    return Registration("there", "1.3", "earlier", np.linalg.inv(MOTION), field)


def lay_back(find_vectors=None, motion=MOTION):
    field = make_field(find_vectors, MOTION) if find_vectors is not None else None
    return Registration("back", "1.2", "this", motion, field)


def place(volume, index):
    return index @ volume.affine[:3, :3].T + volume.affine[:3, 3]


def test_two_that_undo_each_other_have_no_error_and_what_is_added_to_one_is_the_error(chest):
    earlier, points = move(chest, MOTION), place(chest, np.argwhere(find_body(chest))[::50])
    there, turn = lay(everywhere(SHIFT)), MOTION[:3, :3]
    points = points[measure_inverse_errors(points, there, lay_back(), earlier) != NOTHING]
    assert len(points) > 200
    undone = measure_inverse_errors(points, there, lay_back(everywhere(-turn @ SHIFT)), earlier)
    assert undone == pytest.approx(0, abs=1e-3)
    missed = measure_inverse_errors(points, there, lay_back(), earlier)
    assert missed == pytest.approx(13.0, abs=1e-3)


def find_body(volume):
    """The patient in a made chest, without its edge."""
    return ndimage.binary_erosion(ndimage.binary_fill_holes(volume.voxels > -900), iterations=2)


def test_an_error_is_drawn_at_the_place_of_this_study_where_it_is_made(chest):
    """The way back is broken at one place of the earlier study, 200 mm away in its coordinates."""
    center = np.array([60.0, 10.0, 20.0])
    there = MOTION[:3, :3] @ center + MOTION[:3, 3]
    values = draw_inverse_errors(chest, move(chest, MOTION), lay(), lay_back(bump(there, (0, 0, 15))), QUIET)
    highest = place(chest, np.array(np.unravel_index(values.argmax(), values.shape)))
    assert np.linalg.norm(highest - center) < 10
    assert 12 < values.max() < 15.01
    away = np.linalg.norm(place(chest, np.argwhere(values != NOTHING)) - center, axis=1) > 60
    assert values[values != NOTHING][away].max() < 0.01


STORED = {
    "plain": lambda volume: volume,
    "backward": store_sideways,
    "oblique": lambda volume: move(volume, make_motion((25, 10, -15), (5, 6, 7))),
}


@pytest.mark.parametrize("store", STORED.values(), ids=STORED)
def test_each_voxel_has_the_error_of_its_own_place_however_it_is_stored(chest, store):
    volume = store(chest)
    wrong = make_motion((5, -2, 6), (33, -40, 200))
    there, back = lay(), lay_back(motion=wrong)
    wide = Volume(np.zeros((60, 60, 60), np.float32), move_grid(MOTION, 20.0), "1.3", "CT")
    values = draw_inverse_errors(volume, wide, there, back, QUIET)
    assert values.shape == volume.shape
    known = np.argwhere(values != NOTHING)
    assert len(known) > 20_000
    points = np.column_stack([place(volume, known), np.ones(len(known))])
    expected = np.linalg.norm((points @ (np.linalg.inv(wrong) @ MOTION).T - points)[:, :3], axis=1)
    assert np.ptp(expected) > 3
    assert values[tuple(known.T)] == pytest.approx(expected, abs=1e-3)
    assert np.array_equal(values, draw_inverse_errors(volume, wide, there, back, QUIET))


def move_grid(motion, spacing):
    """A grid of 60 x 60 x 60 voxels around where `motion` takes the origin."""
    return motion @ make_affine((spacing,) * 3, (-30 * spacing,) * 3)


def test_the_same_patient_stored_backward_has_the_same_map(chest):
    earlier, there, back = move(chest, MOTION), lay(), lay_back(motion=make_motion((4, -3, 7), (30, -41, 202)))
    values = draw_inverse_errors(chest, earlier, there, back, QUIET)
    sideways = draw_inverse_errors(store_sideways(chest), store_sideways(earlier), there, back, QUIET)
    assert sideways == pytest.approx(values[::-1].transpose(2, 0, 1), abs=1e-4)


def test_around_the_patient_and_beyond_the_earlier_study_there_is_no_value(chest):
    cut_off = move(cut(chest, slice(0, 12)), MOTION)
    values = draw_inverse_errors(chest, cut_off, lay(), lay_back(), QUIET)
    body = find_body(chest)
    assert (values[:12][body[:12]] != NOTHING).all()
    assert (values[12:] == NOTHING).all()
    assert values[:12][body[:12]] == pytest.approx(0, abs=1e-4)
    air = ~ndimage.binary_dilation(ndimage.binary_fill_holes(chest.voxels > -900), iterations=2)
    assert air[:12].any()
    assert (values[air] == NOTHING).all()


def test_two_that_are_wrong_alike_are_not_seen(chest):
    """What the number cannot do: nothing moves in either direction, while the patient lies 20 mm elsewhere."""
    aside = make_motion((0, 0, 0), (20, 0, 0))
    still = Registration("there", "1.3", "earlier", np.eye(4))
    values = draw_inverse_errors(chest, move(chest, aside), still, still, QUIET)
    assert (values[find_body(chest)] == 0).mean() > 0.9
