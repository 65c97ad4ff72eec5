"""The networks of lung-nodule and nodule-malignancy explained, by their shipped weights."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from pipelines.catalog import get_pipeline
from pipelines.explanation.deletion import delete_first, find_area
from pipelines.explanation.gradients import integrate_gradients
from pipelines.explanation.nodules import find_discs
from pipelines.explanation.planes import (
    CHANGES,
    LUNG_HU,
    draw_gradients,
    draw_nodule,
    draw_nodules,
    draw_occlusion,
    read_again,
    score_planes,
    show,
)
from pipelines.explanation.scale import normalize
from pipelines.nodule_malignancy.pipeline import HOME
from pipelines.pipeline import ExplainingModel
from pipelines.steps.grow import Disc, grow
from pipelines.steps.three_planes import SIDE, make_network, place_planes, predict, show_nodule, to_input
from pipelines.terms import Context, Volume
from tests.pipelines import test_lung_nodule, test_nodule_malignancy
from tests.pipelines.lumps import make_lung

pytestmark = pytest.mark.usefixtures("one_thread")

QUIET = lambda *_: None  # noqa: E731
SOLID, CLOUD = ((22, 22, 22), 5.0, 30.0), ((14, 46, 50), 6.0, -600.0)
DRAWS = {"lung-nodule": draw_gradients, "nodule-malignancy": draw_occlusion}
WAYS = {"lung-nodule": "gradients", "nodule-malignancy": "occlusion"}
NAMES = sorted(WAYS)


def find(volume, lungs):
    """name -> (model, its result for `volume`)."""
    finder = test_lung_nodule.load(lungs)
    rater = test_nodule_malignancy.load()
    found = finder.run(volume, QUIET)
    given = Context(before={one.key: one for one in found.segments}, is_complete=True)
    return {"lung-nodule": (finder, found), "nodule-malignancy": (rater, rater.run_with(volume, given, QUIET))}


def rate_all(result, value=0.9):
    """`result` with every probability at `value`: so that all of its nodules are drawn."""
    findings = tuple(
        replace(one, measurements=(replace(one.measurements[0], value=value), *one.measurements[1:]))
        for one in result.findings
    )
    return replace(result, findings=findings)


@pytest.fixture(scope="module")
def scene():
    volume, lungs = make_lung([SOLID, CLOUD])
    return volume, lungs, find(volume, lungs)


@pytest.fixture(scope="module")
def maps(scene):
    volume, _, models = scene
    return {
        name: model.explain(volume, rate_all(result), WAYS[name], QUIET) for name, (model, result) in models.items()
    }


@pytest.fixture(scope="module")
def real_chest(real_data):
    (stack, *_), _ = read_stacks(sorted((real_data / "ct_chest_LungFCP_0001").rglob("*.dcm")))
    return load_volume(stack)


def find_reach(volume, disc):
    """bool: where the network saw anything of the nodule at `disc`, half a step beyond its outer planes and pixels."""
    away = zip(volume.shape, disc.center, volume.spacing, strict=True)
    k, j, i = (abs(np.arange(n) - at) * mm for n, at, mm in away)
    half = float(np.clip(2 * disc.diameter_mm, 20, 48)) / 2
    high = 1.5 * 0.35 * disc.diameter_mm
    return (k <= high)[:, None, None] & (j <= half)[None, :, None] & (i <= half)[None, None]


@pytest.mark.parametrize("name", NAMES)
def test_the_ways_of_the_manifest_are_those_that_work(scene, name):
    volume, _, models = scene
    model, result = models[name]
    ways = get_pipeline(name).manifest.explains
    assert isinstance(model, ExplainingModel)
    assert ways == ("tta", WAYS[name])
    for way in ways:
        assert model.explain(volume, result, way, QUIET) is not result
    with pytest.raises(KeyError):
        model.explain(volume, result, "gradcam", QUIET)


@pytest.mark.parametrize("name", NAMES)
def test_one_map_lies_on_the_nodules_and_is_0_where_the_network_did_not_look(scene, maps, name):
    volume, _, models = scene
    (drawn,) = maps[name].maps
    assert (drawn.values.shape, drawn.values.dtype) == (volume.shape, np.float32)
    assert (drawn.quantity.value, drawn.unit.value) == ("130404", "1")
    reached = np.zeros(volume.shape, bool)
    discs = find_discs(models[name][1], volume.spacing)
    assert len(discs) == 2
    for disc in discs.values():
        reach = find_reach(volume, disc)
        assert drawn.values[reach].max() == 1.0
        assert drawn.values.min() == 0.0
        brightest = np.array(np.unravel_index((drawn.values * reach).argmax(), volume.shape))
        assert np.linalg.norm((brightest - disc.center) * volume.spacing) < disc.diameter_mm
        reached |= reach
    assert 0 < reached.mean() < 0.5
    assert not drawn.values[~reached].any()
    for segment in models[name][1].segments:
        assert drawn.values[segment.mask].mean() > 1.3 * drawn.values[reached & ~segment.mask].mean()


@pytest.mark.parametrize("name", NAMES)
def test_answers_stay_what_they_are_and_the_map_says_how_to_read_it(scene, maps, name):
    _, _, models = scene
    before = rate_all(models[name][1])
    assert maps[name].findings == before.findings
    assert maps[name].segments == before.segments
    assert maps[name].notes[: len(before.notes)] == before.notes
    assert "compares no two nodules" in maps[name].notes[-1].text
    assert "not the patient" in maps[name].notes[-1].text


@pytest.mark.parametrize("name", NAMES)
def test_the_map_follows_a_volume_that_is_stored_flipped_and_oblique(scene, maps, name):
    """Planes in the other order, and the patient turned: the same voxels have the same values."""
    volume, lungs, _ = scene
    turn = np.eye(4)
    turn[:3, :3] = [[0.8, -0.6, 0.0], [0.6, 0.8, 0.0], [0.0, 0.0, 1.0]]
    affine = turn @ volume.affine
    affine[:3, 3] += affine[:3, 0] * (volume.shape[0] - 1)
    affine[:3, 0] *= -1
    turned = Volume(np.ascontiguousarray(volume.voxels[::-1]), affine, "1.2.3", "CT")
    model, result = find(turned, lungs[::-1])[name]
    (drawn,) = model.explain(turned, rate_all(result), WAYS[name], QUIET).maps
    (straight,) = maps[name].maps
    for segment in result.segments:
        assert drawn.values[segment.mask].max() > 0.5
    assert np.corrcoef(drawn.values[::-1].ravel(), straight.values.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_an_affine_places_the_planes_where_the_network_looks(scene, name):
    """What is shown of a volume of coordinates are the places of the affine."""
    volume, _, models = scene
    disc = next(iter(find_discs(models[name][1], volume.spacing).values()))
    places = np.moveaxis(np.indices(volume.shape), 0, -1) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    affine = place_planes(volume.affine, volume.spacing, disc.center, disc.diameter_mm)
    wanted = np.moveaxis(np.indices((3, SIDE, SIDE)), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
    for axis in range(3):
        along = np.ascontiguousarray(places[..., axis], np.float32)
        shown = show_nodule(along, volume.spacing, disc.center, disc.diameter_mm)
        assert np.allclose(shown, wanted[..., axis], atol=1e-3)


def check_deletion(network, draw, volume, discs):
    """Without what the map calls important the score drops sooner than without voxels by chance, one by one or in spots
    as large as those of the map."""
    score = score_planes(network)
    assert discs
    for disc in discs:
        image, lung = make_images(network, volume, disc)
        drawn = draw_nodule(network, draw, volume, disc)
        others = []
        for seed in range(3):
            chance = torch.rand(drawn.shape, generator=torch.Generator().manual_seed(seed))
            spots = torch.nn.functional.avg_pool2d(chance, 5, stride=1, padding=2)
            others.append([find_area(delete_first(score, image, one, lung)) for one in (chance, spots)])
        assert find_area(delete_first(score, image, drawn, lung)) < np.mean(others, axis=0).min() - 0.2


def make_images(network, volume, disc):
    """(what the network is shown of a nodule, plain lung), (1, 1, 3, SIDE, SIDE) by to_input."""
    image = show(network, volume, disc)[None, None]
    return image, torch.full_like(image, float(to_input(torch.tensor(LUNG_HU))))


@pytest.mark.parametrize("name", NAMES)
def test_the_score_of_a_made_nodule_drops_sooner_without_the_most_salient_voxels(scene, name):
    volume, _, models = scene
    model, result = models[name]
    check_deletion(model.network, DRAWS[name], volume, find_discs(result, volume.spacing).values())


@pytest.mark.parametrize("name", NAMES)
def test_the_score_of_real_candidates_drops_sooner_without_the_most_salient_voxels(scene, real_chest, name):
    """Three that lung-nodule reports, found again by their places."""
    places = (19, 280, 199), (67, 285, 181), (49, 242, 347)
    grown = [grow(real_chest.voxels, real_chest.spacing, place) for place in places]
    discs = [Disc(one.center, one.diameter_mm) for one in grown]
    assert all(4 < disc.diameter_mm < 12 for disc in discs)
    check_deletion(scene[2][name][0].network, DRAWS[name], real_chest, discs)


@pytest.mark.parametrize(("name", "width"), [("lung-nodule", 16), ("nodule-malignancy", 12)])
def test_randomized_weights_change_the_map(scene, name, width):
    """Adebayo et al. 2018."""
    volume, _, models = scene
    torch.manual_seed(5)
    networks = models[name][0].network, make_network(width).eval()
    for disc in find_discs(models[name][1], volume.spacing).values():
        mine, other = (normalize(draw_nodule(one, DRAWS[name], volume, disc)) for one in networks)
        assert float((other - mine).abs().mean()) > 0.5 * float(mine.mean())


def test_where_two_nodules_overlap_the_highest_counts_and_one_at_the_edge_of_the_volume_is_drawn(scene):
    volume, _, models = scene
    network = models["lung-nodule"][0].network
    discs = Disc((20, 20, 20), 10.0), Disc((21, 25, 26), 8.0), Disc((0, 0, 71), 6.0)
    alone = [draw_nodules(network, draw_gradients, volume, [disc], QUIET) for disc in discs]
    assert (alone[0] * alone[1]).any()
    assert all(one.max() in (0.0, 1.0) for one in alone)
    assert np.array_equal(draw_nodules(network, draw_gradients, volume, discs, QUIET), np.maximum.reduce(alone))


def test_what_is_drawn_lies_where_the_network_saw_it_and_is_not_mirrored(scene):
    """A map that is what was shown, of a place beside a ball, is the volume itself again."""
    volume, _, models = scene
    seen = draw_nodules(
        models["lung-nodule"][0].network,
        lambda _score, shown, lung: (shown - lung)[0, 0],
        volume,
        [Disc((22, 25, 19), 10.0)],
        QUIET,
    )
    reach = find_reach(volume, Disc((22, 25, 19), 9.0))[22]
    below = np.clip(volume.voxels[22], LUNG_HU, 200.0)
    assert np.corrcoef(seen[22][reach], below[reach])[0, 1] > 0.97


def test_what_is_explained_is_the_score_that_is_reported(scene):
    volume, _, models = scene
    for model, result in models.values():
        for disc in find_discs(result, volume.spacing).values():
            planes = show_nodule(volume.voxels, volume.spacing, disc.center, disc.diameter_mm)
            image, _ = make_images(model.network, volume, disc)
            with torch.no_grad():
                found = float(score_planes(model.network)(image)[0])
            assert found == pytest.approx(predict(model.network, planes[None], "cpu")[0], abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_volume_gets_the_same_map(scene, maps, name):
    volume, _, models = scene
    model, result = models[name]
    again = model.explain(volume, rate_all(result), WAYS[name], QUIET)
    assert np.array_equal(again.maps[0].values, maps[name].maps[0].values)


@pytest.mark.parametrize("name", NAMES)
def test_without_a_nodule_there_is_a_note_and_no_map(name):
    volume, lungs = make_lung()
    model, result = find(volume, lungs)[name]
    assert not result.is_positive
    for way in ("tta", WAYS[name]):
        explained = model.explain(volume, result, way, QUIET)
        assert explained.maps == ()
        assert explained.findings == result.findings
        assert "there is nothing to explain" in explained.notes[-1].text


@pytest.mark.parametrize("name", NAMES)
def test_what_is_rather_not_so_is_not_on_the_map_and_this_is_said(scene, maps, name):
    volume, _, models = scene
    model, result = models[name]
    high = rate_all(result)
    mixed = replace(high, findings=(high.findings[0], rate_all(result, 0.3).findings[1]))
    explained = model.explain(volume, mixed, WAYS[name], QUIET)
    first, second = (find_reach(volume, disc) for disc in find_discs(mixed, volume.spacing).values())
    assert np.array_equal(explained.maps[0].values[first], maps[name].maps[0].values[first])
    assert not explained.maps[0].values[second & ~first].any()
    assert "1 of the nodules" in explained.notes[-1].text
    none = model.explain(volume, rate_all(result, 0.3), WAYS[name], QUIET)
    assert none.maps == ()
    assert "2 of the nodules" in none.notes[-1].text


@pytest.mark.parametrize("name", NAMES)
def test_tta_states_how_steady_each_probability_is_and_draws_no_map(scene, name):
    volume, _, models = scene
    model, result = models[name]
    told = []
    explained = model.explain(volume, result, "tta", lambda share, _: told.append(share))
    assert explained.maps == ()
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert "not how right" in explained.notes[-1].text
    discs = find_discs(result, volume.spacing)
    for before, after in zip(result.findings, explained.findings, strict=True):
        (added,) = after.measurements[len(before.measurements) :]
        assert after.measurements[: len(before.measurements)] == before.measurements
        assert (added.concept, added.unit) == (before.measurements[0].concept, before.measurements[0].unit)
        assert (added.derivation.value, added.method.value) == ("386136009", "TTA")
        assert 1e-5 < added.value < 0.5
        logits = read_again(model.network, volume, discs[before.key])
        assert len(logits) == len(CHANGES) == 6


def test_the_first_reading_is_the_answer_itself(scene):
    """So deviations are of the very probabilities that are reported."""
    volume, _, models = scene
    for name, (model, result) in models.items():
        for finding, disc in zip(result.findings, find_discs(result, volume.spacing).values(), strict=True):
            logit = read_again(model.network, volume, disc)[0]
            if name == "nodule-malignancy":
                slope, size, constant = load_file(HOME / "weights.safetensors")["calibration"].tolist()
                assert slope > 0  # what raises the logit raises the probability
                logit = slope * logit + size * np.log(disc.diameter_mm) + constant
            assert finding.measurements[0].value == pytest.approx(1 / (1 + np.exp(-logit)), abs=0.01)


def test_gradients_add_up_to_the_difference_of_the_scores(scene):
    """The axiom of completeness, through eight views of three planes; before they are averaged over cells."""
    volume, _, models = scene
    network = models["lung-nodule"][0].network
    for disc in find_discs(models["lung-nodule"][1], volume.spacing).values():
        image, lung = make_images(network, volume, disc)
        score = score_planes(network)
        with torch.no_grad():
            difference = float(score(image) - score(lung))
        assert float(integrate_gradients(score, image, lung, 64).sum()) == pytest.approx(difference, rel=0.1)
