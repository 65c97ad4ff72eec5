"""Why a box was found, and how steadily: by a detector that is written down, on the images as they came."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.bundles import hide
from pipelines.bundles.boxes import Reported
from pipelines.bundles.detect import Scene
from pipelines.bundles.hide import draw_boxes, find_surroundings, hide_cells, place_box, score_box
from pipelines.bundles.image import find_ras
from pipelines.bundles.ways import MOST_DRAWN
from pipelines.explanation.deletion import delete_first, find_area
from pipelines.steps.resample import Grid
from tests.pipelines.bundles.corner import Corner
from tests.pipelines.bundles.made import make_volume
from tests.pipelines.bundles.scans import BODY, BRIGHT, QUIET, SHAPE, explain, make_scan, report, see, space

pytestmark = pytest.mark.usefixtures("one_thread")

STEP = (4, 4, 2)


@pytest.fixture(autouse=True)
def near(monkeypatch):
    """Parts of the images that a test has time for, smaller than these."""
    monkeypatch.setattr(hide, "CONTEXT", 8)


def find_center(values):
    """The mean place (k, j, i) of `values`, which weigh."""
    return np.array([(np.arange(n) * values.sum(axis=others)).sum() for n, others in _sides(values)]) / values.sum()


def _sides(values):
    return [(n, tuple(axis for axis in range(3) if axis != one)) for one, n in enumerate(values.shape)]


@pytest.mark.parametrize(("flips", "oblique"), [((), False), ((0,), True), ((1, 2), False), ((0, 1, 2), True)], ids=str)
@pytest.mark.parametrize("edit", [None, space], ids=["as stored", "spaced"])
def test_the_map_lies_on_the_corner_by_which_a_box_is_found_whatever_the_axes(edit, flips, oblique, load_detector):
    made, volume = load_detector(edit=edit), make_scan(flips, oblique)
    reported, scores = report(made, volume)
    assert len(scores) == 1
    found = explain(made, volume, "occlusion", reported)
    assert (found["map"].shape, found["map"].dtype) == (SHAPE, np.float32)
    assert (found["map"].min(), found["map"].max()) == (0.0, 1.0)
    upright = np.flip(found["map"], flips)
    corner = np.array([(side.start + side.stop - 1) / 2 for side in BRIGHT])
    assert np.abs(find_center(upright) - corner).max() < 2.0
    assert upright[BRIGHT].mean() > 0.35
    opposite = tuple(
        slice(a.stop - (b.stop - a.start), a.stop - (b.start - a.start)) for a, b in zip(BODY, BRIGHT, strict=True)
    )
    assert upright[opposite].max() < 0.05
    beyond = np.ones(SHAPE, bool)
    beyond[4:21, 6:26, 24:44] = False
    assert not upright[beyond].any()
    assert 0.5 < found["drops"][0] <= 1


@pytest.mark.parametrize("flips", [(0,), (0, 1, 2)], ids=str)
def test_a_volume_that_is_stored_backward_has_the_same_map_backward(flips, load_detector):
    made = load_detector()
    straight, turned = (explain(made, make_scan(some), "occlusion")["map"] for some in ((), flips))
    np.testing.assert_allclose(np.flip(turned, flips), straight, atol=1e-5)


def test_the_same_images_have_the_same_map_and_their_answer_stays(load_detector):
    made, volume = load_detector(), make_scan()
    before = made.run([volume.voxels], volume.affine, QUIET).arrays
    reported, told = report(made, volume)[0], []
    maps = [
        made.explain([volume.voxels], volume.affine, "occlusion", lambda share, _: told.append(share), reported)
        for _ in range(2)
    ]
    again = explain(made, volume, "tta", reported)["again"]
    assert np.array_equal(maps[0].arrays["map"], maps[1].arrays["map"])
    assert np.array_equal(again, explain(made, volume, "tta", reported)["again"])
    after = made.run([volume.voxels], volume.affine, QUIET).arrays
    assert all(np.array_equal(before[name], after[name]) for name in before)
    half = told[: len(told) // 2]
    assert half == sorted(half)
    assert (half[0], half[-1]) == (0.0, 1.0)


CORNERS = {
    (5, 5, 5): BRIGHT,
    (0, 0, 5): (BRIGHT[0], slice(17, 19), slice(35, 37)),
    (0, 5, 0): (slice(9, 11), BRIGHT[1], slice(35, 37)),
}
"""Where a kernel looks, x y z -> what it looks at in the box of BODY. Any two differ along two axes."""


def make_other(corner):
    """Corner, with its weight at another place."""
    network = Corner()
    with torch.no_grad():
        network.kernel.zero_()
        network.kernel[0, 0][tuple(slice(n, n + 2) for n in corner)] = 1 / 8
    return network


def test_other_weights_have_another_map(load_detector):
    """Adebayo et al. 2018: of the same box in the same images, in which there is something for each of them."""
    made, volume = load_detector(), make_scan()
    for place in CORNERS.values():
        volume.voxels[place] = 1000.0
    reported, maps = Reported(np.array([[[8.0, 11, 29], [16, 19, 37]]]), np.ones((1, 1), np.bool_)), []
    for corner, place in (*CORNERS.items(), next(iter(CORNERS.items()))):
        made._detector._made.network = make_other(corner)
        maps.append(explain(made, volume, "occlusion", reported)["map"])
        assert maps[-1][place].mean() > 0.5
        others = [float(maps[-1][other].mean()) for other in CORNERS.values() if other is not place]
        assert max(others) < maps[-1][place].mean() - 0.3
    looked = np.any(maps, axis=0)
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.corrcoef(maps[one][looked], maps[other][looked])[0, 1] < 0.3
    assert np.array_equal(maps[0], maps[3])


def test_the_score_drops_sooner_without_what_the_map_calls_important(load_detector):
    """Petsiuk et al. 2018; against voxels by chance and in spots of the size of a cell, where cells were hidden too."""
    made, volume = load_detector(), make_scan()
    scene, reported = see(made, volume), report(made, volume)[0]
    rater = made._detector.rater
    box = scene.trace(reported.boxes)[0]
    place = place_box(box, scene.image.shape[1:], STEP)
    image = scene.image[(slice(None), *place.shown)][None]
    start = np.tile([side.start for side in place.shown], 2)
    fill = find_surroundings(image, box - start, place.within)
    score = score_box(rater, scene, reported, 0, place)
    drawn = hide_cells(rater, scene, reported, 0, place, QUIET)

    def measure(values):
        salience = torch.full(image.shape[2:], -1e9)
        salience[place.within] = values
        share = values.numel() / salience.numel()
        return find_area(delete_first(score, image, salience, fill, [n * share / 20 for n in range(7)]))

    random = torch.Generator().manual_seed(0)
    chance = [torch.rand(drawn.shape, generator=random) for _ in range(3)]
    spots = [nn.functional.avg_pool3d(one[None], 3, stride=1, padding=1)[0] for one in chance]
    assert measure(drawn) < min(measure(one) for one in (*chance, *spots)) - 0.1


def test_what_hides_is_the_mean_of_what_lies_beside_the_box():
    """Neither of the box, nor of what lies farther off; of all, where nothing lies beside it."""
    image = torch.full((1, 2, 20, 20, 20), 0.2)
    image[:, 1] = 0.4
    image[..., 8:12, 8:12, 8:12] = 1.0
    image[..., :2, :, :] = 9.0
    fill = find_surroundings(image, np.array([8, 8, 8, 12, 12, 12.0]), (slice(6, 14),) * 3)
    assert fill.shape == image.shape
    assert fill[0, :, 0, 0, 0].tolist() == pytest.approx([0.2, 0.4])
    whole = find_surroundings(image, np.array([0, 0, 0, 20, 20, 20.0]), (slice(8, 12),) * 3)
    assert whole.unique().tolist() == [1.0]


def test_a_box_that_hiding_changes_nothing_of_is_not_drawn(load_detector):
    """One whose certainty comes from everywhere: there is a highest drop, and it is noise."""

    class Everywhere(Corner):
        def forward(self, images):
            heads = super().forward(images)
            heads["classification"][0] = heads["classification"][0] * 1e-4 + 3.0
            return heads

    made, volume = load_detector(Everywhere()), make_scan()
    reported = Reported(np.array([[[8.0, 11, 29], [16, 19, 37]]]), np.ones((1, 1), np.bool_))
    found = explain(made, volume, "occlusion", reported)
    assert 0 <= found["drops"][0] < 0.2
    assert not found["map"].any()


def test_a_box_that_is_not_reported_in_a_part_of_the_images_is_not_drawn(load_detector):
    made, volume = load_detector(Corner(middle=0.98)), make_scan(corner=950.0)
    reported, _ = report(made, volume, least=0.4)
    found = explain(made, volume, "occlusion", reported)
    assert len(reported.boxes) == 1
    assert found["drops"].tolist() == [0.0]
    assert not found["map"].any()


def test_a_box_that_is_too_large_is_told_apart_and_only_the_most_certain_are_looked_at(load_detector, monkeypatch):
    made, volume = load_detector(), make_scan()
    (box,) = report(made, volume)[0].boxes
    empty = [[[2.0, 30, 2 + n], [6, 34, 6 + n]] for n in range(0, 50, 8)]
    many = Reported(np.array([box, *empty]), np.ones((1 + len(empty), 1), np.bool_))
    found = explain(made, volume, "occlusion", many)
    assert found["drops"].shape == (MOST_DRAWN,)
    assert found["drops"][0] > 0.3
    assert found["drops"][1:].tolist() == [0.0] * (MOST_DRAWN - 1)
    monkeypatch.setattr(hide, "MOST_VOXELS", 1000)
    large = explain(made, volume, "occlusion", many)
    assert np.isnan(large["drops"]).all()
    assert not large["map"].any()


def test_two_boxes_are_each_a_share_of_their_own_highest_drop(load_detector):
    made, volume = load_detector(), make_scan()
    other = (slice(14, 16), slice(29, 31), slice(10, 12))
    volume.voxels[other] = 600.0
    reported, scores = report(made, volume)
    assert len(scores) == 2
    assert scores[0] > scores[1] + 0.1
    found = explain(made, volume, "occlusion", reported)
    assert (found["drops"] > 0.2).all()
    assert found["map"][BRIGHT].max() > 0.7
    assert found["map"][other].max() > 0.7
    assert found["map"].max() == 1.0


def test_where_the_surroundings_of_two_boxes_meet_the_higher_counts(load_detector):
    made, volume = load_detector(), make_scan()
    volume.voxels[14:16, 12:14, 22:24] = 1000.0
    reported, _ = report(made, volume)
    assert len(reported.boxes) == 2
    alone = [
        explain(made, volume, "occlusion", Reported(reported.boxes[n : n + 1], reported.same[n : n + 1]))["map"]
        for n in range(2)
    ]
    assert (alone[0] * alone[1]).any()
    both = explain(made, volume, "occlusion", reported)["map"]
    np.testing.assert_allclose(both, np.maximum(*alone), atol=1e-5)


def test_a_hundred_pictures_at_most_are_read_of_a_box(load_detector):
    made, volume = load_detector(), make_scan()
    reported, read = report(made, volume)[0], []
    scene, rater = see(made, volume), made._detector.rater

    def count(images):
        read.append(images.shape)
        return rater.find(images)

    draw_boxes(replace(rater, find=count), scene, reported, QUIET)
    assert 50 < sum(shape[0] for shape in read) <= hide.CELLS + 2
    assert all(np.prod(shape[2:]) < scene.image[0].numel() for shape in read)
    assert max(shape[0] for shape in read) > 1


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((512, 512, 300), (3.2, 20, 4, 8.7, 26, 7)),
        ((512, 512, 300), (201, 99, 77, 210, 110, 83)),
        ((512, 512, 300), (500, 505, 290, 512, 512, 300)),
        ((40, 30, 9), (30, 22, 6, 40, 30, 9)),
        ((40, 30, 9), (0, 0, 0, 5, 5, 5)),
        ((9, 200, 200), (3.2, 20, 4, 8.7, 26, 7)),
    ],
    ids=str,
)
def test_what_is_shown_begins_on_the_detector_s_steps_and_stays_in_the_images(size, box, monkeypatch):
    monkeypatch.setattr(hide, "CONTEXT", 32)
    step = (16, 16, 8)
    place = place_box(np.array(box, float), size, step)
    for axis, (around, shown, within) in enumerate(zip(place.around, place.shown, place.within, strict=True)):
        assert 0 <= shown.start <= around.start < around.stop <= shown.stop <= size[axis]
        assert shown.start % step[axis] == 0
        assert shown.stop % step[axis] == 0 or shown.stop == size[axis]
        assert around.start - shown.start >= 32 or shown.start == 0
        assert shown.stop - around.stop >= 32 or shown.stop == size[axis]
        assert (within.start + shown.start, within.stop + shown.start) == (around.start, around.stop)
        low, high = box[axis], box[axis + 3]
        assert around.start <= max(low - 2, 0)
        assert around.stop >= min(high + 2, size[axis])
        assert around.stop - around.start <= (high - low) + 2 * 8 + 2


def test_boxes_come_back_to_the_image_that_they_were_found_in():
    affine = make_volume(SHAPE, oblique=True).affine
    ras = find_ras(affine)
    ras[:3, :3] *= [-0.5, 1.0, 2.0]
    scene = Scene(torch.zeros(1, 120, 40, 12), ras, Grid(SHAPE, affine))
    boxes = np.array([[3.0, 4, 5, 9, 12, 8], [0, 1, 2, 3, 4, 5]])
    np.testing.assert_allclose(scene.trace(scene.lay(boxes)), boxes, atol=1e-9)


def test_a_sure_detector_is_explained_as_well(load_detector):
    """Of one whose probability is 1 to the last digit whatever is hidden, the logit still drops."""
    made, volume = load_detector(Corner(steep=16.0, middle=-1.0)), make_scan()
    body = np.array([[[8.0, 11, 29], [16, 19, 37]]])
    found = explain(made, volume, "occlusion", Reported(body, np.ones((1, 1), np.bool_)))
    assert found["drops"][0] > 0.5
    assert found["map"].max() == 1.0


def test_logits_are_those_of_the_scores_and_the_detector_stays_as_it_is(load_detector):
    made, volume = load_detector(), make_scan()
    scene, detector = see(made, volume), made._detector
    before = made.run([volume.voxels], volume.affine, QUIET).arrays
    (scored,), (rated,) = detector.find(scene.image[None]), detector.rater.find(scene.image[None])
    assert np.array_equal(scored.boxes, rated.boxes)
    np.testing.assert_allclose(1 / (1 + np.exp(-rated.scores)), scored.scores, atol=1e-6)
    assert detector.rater.floor == pytest.approx(np.log(0.02 / 0.98))
    assert rated.scores.min() > detector.rater.floor
    after = made.run([volume.voxels], volume.affine, QUIET).arrays
    assert all(np.array_equal(before[name], after[name]) for name in before)
    detector._made.box_selector.apply_sigmoid = False
    (plain,), (rated,) = detector.find(scene.image[None]), detector.rater.find(scene.image[None])
    inside = np.clip(plain.scores, 1e-6, 1 - 1e-6)
    np.testing.assert_allclose(rated.scores, np.log(inside / (1 - inside)))


def test_a_box_that_is_gone_has_the_least_score_that_the_detector_gives(load_detector):
    """Not a probability of a half, which is a logit of 0: what is nearly gone would weigh more than what is."""
    made, volume = load_detector(), make_scan()
    scene, reported, rater = see(made, volume), report(made, volume)[0], made._detector.rater
    place = place_box(scene.trace(reported.boxes)[0], scene.image.shape[1:], STEP)
    image = scene.image[(slice(None), *place.shown)][None]
    both = score_box(rater, scene, reported, 0, place)(torch.cat([image, torch.zeros_like(image)]))
    assert both.tolist() == pytest.approx([16 * 0.3, np.log(0.02 / 0.98)], abs=1e-3)
