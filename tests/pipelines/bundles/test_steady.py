"""How steady a segmenting bundle is: on the images as they came, whatever their axes, and by counts that are known."""

import numpy as np
import pytest
import torch
from torch import nn

from pipelines.bundles import program
from pipelines.bundles.after import to_chances
from pipelines.bundles.explained import add_explanation
from pipelines.bundles.install import add_bundle, map_concepts, read_installed
from pipelines.bundles.program import Program
from pipelines.bundles.steady import FULL, decide_both, find_anything, list_changes
from pipelines.bundles.ways import MOVES
from pipelines.bundles.windows import pick_highest
from pipelines.catalog import get_pipeline
from pipelines.errors import BundleCrashed
from pipelines.pipeline import ExplainingModel
from pipelines.terms import Volume, read_manifest
from tests.pipelines.bundles.made import add_members, edit_metadata, make_bundle, make_volume
from tests.results import make_empty_result

QUIET = lambda *_: None  # noqa: E731
SHAPE = (12, 20, 22)
CORNER = (slice(0, 4), slice(14, 20), slice(0, 7))
"""Below, behind, to the right in an upright volume: off the middle along every axis."""


@pytest.fixture(scope="module", autouse=True)
def alone():
    torch.set_num_threads(1)


def load(shelf, tmp_path, name="tiny_ct_segmentation", **options):
    manifest = add_bundle(make_bundle(name, tmp_path, **options), shelf, "tiny")
    return Program(read_installed(shelf / f"tiny-{manifest.version}"), "cpu", trusted=False)


def space(config):
    """To another grid before, and back after."""
    to = {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [1.5, 1.2, 2.0], "mode": "bilinear"}
    config["preprocessing"]["transforms"].insert(3, to)


def explain(made, volume, way="tta"):
    return made.explain([volume.voxels], volume.affine, way, QUIET).arrays


def make_corner(flips=(), oblique=False):
    """Air, and water in CORNER; stored backward along the axes `flips`, and where it is in the volume that is."""
    volume = make_volume(SHAPE, oblique=oblique)
    voxels = np.full(SHAPE, -1000.0, np.float32)
    voxels[CORNER] = 0.0
    affine = volume.affine.copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (SHAPE[axis] - 1)
        affine[:3, axis] *= -1
    place = np.zeros(SHAPE, bool)
    place[CORNER] = True
    turned, where = (np.ascontiguousarray(np.flip(one, flips)) for one in (voxels, place))
    return Volume(turned, affine, "1.2.3", "CT"), where


def tell_gray(middle, steepness=20.0):
    """A network that is undecided at the gray value `middle`, and sure below and above."""

    def look(patch):
        score = steepness * (patch[:, :1] - middle)
        return torch.cat([-score, score], dim=1)

    return look


@pytest.mark.parametrize(("flips", "oblique"), [((), False), ((0,), True), ((1, 2), False), ((0, 2), True)])
@pytest.mark.parametrize("spaced", [False, True])
def test_what_is_unsure_lies_in_its_corner_whatever_the_axes(spaced, flips, oblique, shelf, tmp_path):
    made = load(shelf, tmp_path, edit=space if spaced else None)
    made._network = tell_gray(0.5)
    volume, place = make_corner(flips, oblique)
    found = explain(made, volume)["map"]
    assert (found.shape, found.dtype) == (SHAPE, np.float32)
    assert found[place].mean() > (0.7 if spaced else 0.9)
    assert found[~place].mean() < (0.1 if spaced else 0.001)
    assert place[np.unravel_index(found.argmax(), SHAPE)]


def test_the_voxels_of_each_reading_are_those_that_are_known(shelf, tmp_path):
    """Of a network that looks at each voxel alone: those that are bright enough after the change."""
    made = load(shelf, tmp_path)
    made._network = tell_gray(0.53)
    volume = make_volume(SHAPE, oblique=True)
    gray = (volume.voxels.clip(-1000, 1000) + 1000) / 2000
    expected = [np.count_nonzero(gray * gain > 0.53) for _, gain in MOVES]
    found = explain(made, volume)
    assert found["counts"][1] == pytest.approx(expected, abs=2)
    assert found["counts"].sum(axis=0).tolist() == [volume.voxels.size] * len(MOVES)
    chance = np.mean([1 / (1 + np.exp(-40 * (gray * gain - 0.53))) for _, gain in MOVES], axis=0)
    entropy = -(chance * np.log2(chance) + (1 - chance) * np.log2(1 - chance))
    np.testing.assert_allclose(found["map"], entropy, atol=2e-3)


def test_a_bundle_tells_how_steady_it_is_and_the_answer_stays(shelf, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path)
    add_members(bundle, [None, 1, 2])
    assert add_bundle(bundle, shelf, "tiny").explains == ("tta", "features", "ensemble")
    model, told = get_pipeline("tiny").load("cpu"), []
    try:
        volume = make_volume(SHAPE)
        result = model.run(volume, QUIET)
        assert isinstance(model, ExplainingModel)
        explained = model.explain(volume, result, "tta", lambda share, _: told.append(share))
        again = model.explain(volume, result, "tta", QUIET)
        viewed = model.explain(volume, result, "features", QUIET)
        agreed = model.explain(volume, result, "ensemble", QUIET)
    finally:
        model.close()
    (scalars,) = explained.maps
    assert (scalars.values.shape, scalars.quantity.meaning, scalars.unit.value) == (SHAPE, "Predictive entropy", "bit")
    assert np.array_equal(scalars.values, again.maps[0].values)
    assert 0 < scalars.values.max() <= 1
    (before,), (size, deviation) = result.findings[0].measurements, explained.findings[0].measurements
    assert size == before
    assert (deviation.concept, deviation.unit) == (size.concept, size.unit)
    assert (deviation.derivation.meaning, deviation.method.meaning) == ("Standard Deviation", "Test-time augmentation")
    assert deviation == again.findings[0].measurements[1]
    assert 0 < deviation.value < size.value
    assert explained.segments == result.segments
    assert "moved by a few voxels" in explained.notes[-1].text
    assert told == sorted(told)
    assert len(told) == 1 + len(MOVES)
    assert viewed.findings == result.findings
    assert viewed.maps[0].quantity.meaning == "Feature response"
    assert "explains no answer" in viewed.notes[-1].text
    assert agreed.findings[0].measurements[0] == before
    assert agreed.findings[0].measurements[1].method.meaning == "Ensemble of networks"
    assert agreed.findings[0].measurements[1].value > 0
    assert agreed.maps[0].quantity.meaning == "Predictive entropy"
    assert "3 sets of weights" in agreed.notes[-1].text


def test_randomized_weights_change_what_is_unsure(shelf, tmp_path):
    made, volume, maps = load(shelf, tmp_path), make_volume(SHAPE), []
    for seed in (11, 12):
        torch.manual_seed(seed)
        for parameter in made._network.parameters():
            torch.nn.init.normal_(parameter, std=0.4)
        maps.append(explain(made, volume)["map"])
    assert np.corrcoef(*(one.ravel() for one in maps))[0, 1] < 0.5


def grow(config, count=40):
    config["network_def"]["out_channels"] = count


def name_many(bundle, first):
    channels = {str(n): f"part {n}" for n in range(first, 40)}
    edit_metadata(bundle, lambda pred: pred.update(num_channels=40, channel_def=channels))


def overlap(config):
    grow(config)
    activation, _, discrete, _ = config["postprocessing"]["transforms"]
    activation |= {"softmax": False, "sigmoid": True}
    del discrete["argmax"]
    discrete["threshold"] = 0.5


@pytest.mark.parametrize(("edit", "first"), [(grow, 1), (overlap, 0)], ids=["labels", "masks"])
def test_many_classes_are_two_numbers_a_voxel_and_the_same_as_when_all_are_kept(
    edit, first, shelf, tmp_path, monkeypatch
):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path, edit=edit)
    name_many(bundle, first)
    add_bundle(bundle, shelf, "many")
    installed, volume = read_installed(shelf / "many-1.0.0"), make_volume((10, 12, 14))
    early = Program(installed, "cpu", trusted=False)
    found = explain(early, volume)
    assert found["counts"].shape == (40, len(MOVES))
    monkeypatch.setattr(program, "MANY_CLASSES", 1000)
    whole = explain(Program(installed, "cpu", trusted=False), volume)
    np.testing.assert_allclose(found["map"], whole["map"], atol=2e-3)
    assert np.abs(found["counts"] - whole["counts"]).sum() < 0.002 * found["counts"].sum()


def test_the_last_layer_that_comes_after_the_windows_is_not_forgotten(shelf, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path, edit=grow)
    name_many(bundle, 1)
    add_bundle(bundle, shelf, "many")
    made, volume = Program(read_installed(shelf / "many-1.0.0"), "cpu", trusted=False), make_volume((10, 12, 14))
    torch.manual_seed(4)
    made._network = nn.Sequential(nn.Conv3d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv3d(8, 40, 1)).eval()
    whole = explain(made, volume)
    made._tail = made._take_tail()
    assert made._tail is not None
    found = explain(made, volume)
    np.testing.assert_allclose(found["map"], whole["map"], atol=1e-3)
    assert np.abs(found["counts"] - whole["counts"]).sum() < 0.002 * whole["counts"].sum()


def test_of_many_classes_what_is_decided_and_one_chance_are_kept():
    means = torch.randn(117, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    decide = decide_both(pick_highest, lambda one: find_anything(one.softmax(0), range(1, 117), overlaps=False))
    both = decide(means)
    assert (both.shape, both.dtype) == ((2, 3, 4, 5), torch.int16)
    assert torch.equal(both[0].long(), means.argmax(0))
    assert torch.allclose(both[1] / FULL, 1 - means.softmax(0)[0], atol=1e-4)


def test_scores_become_probabilities_by_the_bundle_s_own_activation_or_the_usual_one():
    scores = torch.tensor([[2.0, -3.0], [0.5, 4.0]])
    assert torch.allclose(to_chances([], overlaps=False)(scores), scores.softmax(0))
    assert torch.allclose(to_chances([], overlaps=True)(scores), scores.sigmoid())
    sure = scores.softmax(0)
    assert torch.equal(to_chances([], overlaps=False)(sure), sure)


def test_planes_are_read_again_where_the_bundle_reads_planes(shelf, tmp_path):
    def shrink(config):
        config["inferer"]["roi_size"] = [16, 16]
        config["network_def"] |= {"channels": [4, 8], "strides": [2], "num_res_units": 1}

    made = load(shelf, tmp_path, "ventricular_short_axis_3label", edit=shrink)
    volume = make_volume((3, 30, 26), modality="MR")
    found = explain(made, volume)
    assert found["map"].shape == volume.shape
    assert found["counts"].shape == (4, len(MOVES))
    assert found["map"].max() > 0


def test_what_is_thin_is_moved_by_less():
    assert list_changes((3, 100, 20))[2].shift == (0, 2, 2)
    assert list_changes((3, 100, 20))[0].shift == (0, 0, 0)


def test_a_bundle_added_before_gains_its_ways_with_map(shelf, tmp_path):
    add_bundle(make_bundle("tiny_ct_segmentation", tmp_path, weights=""), shelf, "tiny")
    path = shelf / "tiny-1.0.0" / "manifest.toml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("explains")))
    assert read_manifest(path).explains == ()
    assert "tta" in map_concepts(path.parent).explains
    assert "tta" in read_manifest(path).explains


GOOD = {"map": np.zeros((2, 3, 4), np.float32), "counts": np.full((2, len(MOVES)), 3.0)}


@pytest.mark.parametrize(
    "bad",
    [
        {"counts": None},
        {"map": np.full((2, 3, 4), 1.1, np.float32)},
        {"counts": np.full((2, len(MOVES)), 3)},
        {"counts": np.full((3, len(MOVES)), 3.0)},
        {"counts": np.full((2, len(MOVES)), np.nan)},
        {"counts": np.full((2, len(MOVES)), 25.0)},
        {"counts": np.full((2, len(MOVES)), -1.0)},
    ],
    ids=str,
)
def test_counts_that_are_none_are_a_named_error(bad, shelf, tmp_path):
    add_bundle(make_bundle("tiny_ct_segmentation", tmp_path, weights=""), shelf, "tiny")
    card = read_installed(shelf / "tiny-1.0.0").card
    volume = Volume(np.zeros((2, 3, 4), np.float32), np.eye(4), "1.2.3", "CT")
    assert add_explanation(make_empty_result(), "tta", GOOD, volume, card).maps[0].key == "tta"
    arrays = {name: value for name, value in (GOOD | bad).items() if value is not None}
    with pytest.raises(BundleCrashed):
        add_explanation(make_empty_result(), "tta", arrays, volume, card)
