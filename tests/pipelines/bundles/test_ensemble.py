"""Several sets of weights of one network: how much they agree, by the bundle's own windows; the answer stays."""

import json

import numpy as np
import pytest
import torch

from pipelines.bundles.card import read_card
from pipelines.bundles.explained import add_explanation
from pipelines.bundles.install import add_bundle, read_installed
from pipelines.bundles.lock import make_lock
from pipelines.bundles.members import list_members
from pipelines.bundles.program import Program
from pipelines.errors import BundleChanged, BundleCrashed, BundleDrift
from pipelines.terms import Volume
from tests.pipelines.bundles.made import CONFIGS, add_members, make_bundle, make_volume
from tests.pipelines.bundles.test_steady import QUIET, SHAPE, explain, grow, name_many
from tests.results import make_empty_result


@pytest.fixture(scope="module", autouse=True)
def alone():
    torch.set_num_threads(1)


def install(shelf, tmp_path, seeds, name="tiny_ct_segmentation", many=False):
    bundle = make_bundle(name, tmp_path, edit=grow if many else None)
    if many:
        name_many(bundle, 1)
    add_members(bundle, seeds)
    return add_bundle(bundle, shelf, "tiny"), read_installed(next(shelf.glob("tiny-*")))


@pytest.mark.parametrize("many", [False, True])
def test_equal_weights_agree_and_are_the_answer_and_others_do_not(many, shelf, tmp_path):
    manifest, installed = install(shelf, tmp_path, [None, None, None, 1, 2], many=many)
    assert manifest.explains[-1] == "ensemble"
    made, volume = Program(installed, "cpu", trusted=False), make_volume(SHAPE)
    answer = made.run([volume.voxels], volume.affine, QUIET).arrays["labels"]
    found = explain(made, volume, "ensemble")
    sizes = np.bincount(answer.ravel(), minlength=40 if many else 2)
    assert np.array_equal(found["counts"][:, 0], found["counts"][:, 2])
    assert np.abs(found["counts"][:, 0] - sizes).sum() <= 0.002 * answer.size
    assert np.abs(found["counts"][:, 3] - sizes).sum() > 0.02 * answer.size
    assert (found["map"].shape, found["map"].dtype) == (SHAPE, np.float32)
    assert np.array_equal(answer, made.run([volume.voxels], volume.affine, QUIET).arrays["labels"])


def test_a_classification_has_the_deviation_of_its_probability(shelf, tmp_path):
    manifest, installed = install(shelf, tmp_path, [None, 1, 2], "tiny_classification")
    assert manifest.explains[-1] == "ensemble"
    made = Program(installed, "cpu", trusted=False)
    picture = np.random.default_rng(1).normal(0, 150, (1, 40, 40)).astype(np.float32)
    (deviation,) = made.explain([picture], np.eye(4), "ensemble", QUIET).arrays["deviation"]
    assert 0.01 < deviation <= 0.5


def test_one_set_of_weights_is_no_ensemble(shelf, tmp_path):
    manifest, installed = install(shelf, tmp_path, [1])
    assert "ensemble" not in manifest.explains
    with pytest.raises(BundleDrift, match="not several sets of weights"):
        explain(Program(installed, "cpu", trusted=False), make_volume(SHAPE), "ensemble")


def test_every_member_is_pinned_and_one_that_does_not_fit_is_named(shelf, tmp_path):
    _, installed = install(shelf, tmp_path, [1, 2])
    made = Program(installed, "cpu", trusted=False)
    path = installed.folder / "models" / "model_fold1.pt"
    path.chmod(0o644)
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleChanged, match=r"models/model_fold1\.pt has sha256"):
        explain(made, make_volume(SHAPE), "ensemble")
    with pytest.raises(BundleChanged, match=r"model_fold1\.pt"):
        read_installed(installed.home)


def test_members_are_counted_by_their_number_once_each(tmp_path):
    (tmp_path / "models").mkdir()
    for name in ("model.pt", "model_fold10.pt", "model_fold2.pt", "model_fold2.safetensors", "model_foldx.pt"):
        (tmp_path / "models" / name).write_bytes(b"x")
    assert list_members(make_lock(tmp_path)) == ("models/model_fold2.pt", "models/model_fold10.pt")
    (tmp_path / "models" / "model_fold10.pt").unlink()
    assert list_members(make_lock(tmp_path)) == ()


@pytest.mark.parametrize("members", [2, 4])
def test_another_number_of_readings_than_members_is_a_named_error(members):
    card = read_card(json.loads((CONFIGS / "tiny_ct_segmentation" / "configs" / "metadata.json").read_text()))
    volume = Volume(np.zeros((2, 3, 4), np.float32), np.eye(4), "1.2.3", "CT")
    arrays = {"map": np.zeros((2, 3, 4), np.float32), "counts": np.full((2, 3), 3.0)}
    assert add_explanation(make_empty_result(), "ensemble", arrays, volume, card, 3).maps
    with pytest.raises(BundleCrashed):
        add_explanation(make_empty_result(), "ensemble", arrays, volume, card, members)
