"""How steadily a box is found: by a detector that is written down, the score of every reading is known."""

import numpy as np
import pytest

from pipelines.bundles.again import search_again
from pipelines.bundles.ways import MOVES
from pipelines.errors import UnsuitableVolume
from pipelines.terms import Volume
from tests.pipelines.bundles.corner import Corner
from tests.pipelines.bundles.scans import QUIET, explain, make_scan, report, see, space

pytestmark = pytest.mark.usefixtures("one_thread")


def sure(gain, bright, steep):
    """The score of Corner for a corner of `bright`, 0..1."""
    return 1 / (1 + np.exp(-steep * (gain * bright - 0.7)))


@pytest.mark.parametrize("steep", [16.0, 300.0])
@pytest.mark.parametrize(("flips", "oblique"), [((), False), ((0, 2), True)], ids=str)
def test_the_score_of_each_reading_is_the_one_that_is_known(flips, oblique, steep, load_detector):
    """A detector gives no box below 0.02: what it does not give is 0."""
    made, volume = load_detector(Corner(steep)), make_scan(flips, oblique, corner=440.0)
    expected = [sure(gain, 0.72, steep) for _, gain in MOVES]
    known = [score if score > 0.02 else 0.0 for score in expected]
    (again,) = explain(made, volume, "tta")["again"]
    assert again == pytest.approx(known, abs=1e-3)
    assert (np.array(known) == 0.0).sum() == (2 if steep == 300.0 else 0)


def test_a_box_of_another_grid_is_found_again_as_well(load_detector):
    made, volume = load_detector(edit=space), make_scan((0,), oblique=True)
    (again,) = explain(made, volume, "tta")["again"]
    assert (again > 0.5).all()


def test_a_box_that_a_move_takes_out_of_the_images_is_told_apart(load_detector):
    """Towards higher x, y, z of the image: to the right, ahead, up; here stored as lower i and j and higher k."""
    made = load_detector()
    for shift, leaves in (((0, 0, 0), False), ((6, 0, 0), True), ((0, -10, 0), True), ((0, 0, -26), True)):
        volume = make_scan()
        moved = np.roll(volume.voxels, shift, (0, 1, 2))
        reported, scores = report(made, Volume(moved, volume.affine, "1.2.3", "CT"))
        assert len(scores) == 1
        (again,) = explain(made, Volume(moved, volume.affine, "1.2.3", "CT"), "tta", reported)["again"]
        assert np.isnan(again).all() == leaves
        assert np.isnan(again).any() == leaves


def test_each_reading_is_as_large_as_the_images(load_detector):
    made, volume = load_detector(), make_scan()
    reported, scene, sizes = report(made, volume)[0], see(made, volume), []

    def note(images):
        sizes.append(tuple(images.shape[2:]))
        return made._detector.find(images)

    told = []
    search_again(note, scene, reported, told.append)
    assert sizes == [(60, 40, 24)] * len(MOVES)
    assert told == [pytest.approx((n + 1) / len(MOVES)) for n in range(len(MOVES))]


def test_boxes_that_nobody_named_are_not_explained(load_detector):
    made, volume = load_detector(), make_scan()
    with pytest.raises(UnsuitableVolume, match="it is said which"):
        made.explain([volume.voxels], volume.affine, "tta", QUIET)
