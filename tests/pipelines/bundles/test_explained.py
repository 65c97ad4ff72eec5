"""A classifying bundle says why, on the picture as it came, and its process is not believed when it does."""

import json

import numpy as np
import pytest
import torch

from pipelines.bundles.card import read_card
from pipelines.bundles.explained import add_explanation
from pipelines.bundles.install import add_bundle
from pipelines.catalog import get_pipeline
from pipelines.errors import BundleCrashed, UnsuitableVolume
from pipelines.terms import Volume
from tests.pipelines.bundles.made import CONFIGS, make_bundle, make_volume
from tests.pipelines.explanation.seeded import make_network, train
from tests.results import make_empty_result

SHAPE = (1, 60, 100)
BRIGHT = (slice(0, 1), slice(12, 26), slice(66, 86))
"""Off the middle, in a picture that is not square: a map that is turned or mirrored does not lie on it."""


@pytest.fixture(scope="module")
def weights():
    torch.set_num_threads(1)
    return train(make_network()).state_dict()


@pytest.fixture
def model(shelf, tmp_path, weights):
    place = make_bundle("tiny_classification", tmp_path, weights="")
    (place / "models").mkdir()
    torch.save(weights, place / "models" / "model.pt")
    manifest = add_bundle(place, shelf, "tiny")
    assert manifest.explains == ("gradcam", "occlusion", "gradients", "tta", "features")
    loaded = get_pipeline("tiny").load("cpu")
    yield loaded
    loaded.close()


@pytest.fixture
def picture():
    voxels = np.random.default_rng(1).normal(0, 150, SHAPE).astype(np.float32)
    voxels[BRIGHT] += 1000
    return Volume(voxels, np.diag([1.0, 0.7, 0.7, 1.0])[:, [2, 1, 0, 3]], "1.2.3", "CT")


def test_every_way_is_answered_where_the_picture_has_its_reason(model, picture):
    told = []
    result = model.run(picture, lambda *_: None)
    assert result.findings[0].qualifiers[0][1].meaning == "Extremely dense"
    for way in ("gradcam", "occlusion", "gradients"):
        explained = model.explain(picture, result, way, lambda *step: told.append(step))
        (scalars,) = explained.maps
        assert (scalars.key, scalars.values.shape, scalars.values.dtype) == (way, SHAPE, np.float32)
        assert 0 <= scalars.values.min() < scalars.values.max() <= 1
        assert scalars.values[BRIGHT].mean() > 2.5 * scalars.values.mean()
        again = model.explain(picture, result, way, lambda *_: None).maps[0]
        assert np.array_equal(scalars.values, again.values)
        assert explained.findings == result.findings
        assert "not the patient" in explained.notes[-1].text
    assert {scalars.quantity.value, explained.maps[0].quantity.scheme} == {"130404", "DCM"}
    assert told[0] == (0.0, "explain")
    viewed = model.explain(picture, result, "features", lambda *_: None)
    assert viewed.maps[0].values.shape == SHAPE
    assert viewed.maps[0].values.std() > 0
    assert "explains no answer" in viewed.notes[-1].text
    before = result.findings[0].measurements
    uncertain = model.explain(picture, result, "tta", lambda *_: None)
    probability, deviation = uncertain.findings[0].measurements
    assert (probability,) == before
    assert deviation.concept == probability.concept
    assert (deviation.derivation.meaning, deviation.method.meaning) == ("Standard Deviation", "Test-time augmentation")
    assert 0 < deviation.value <= 50
    assert uncertain.maps == ()
    assert model.run(picture, lambda *_: None).findings == result.findings


def test_only_pictures_are_explained(model):
    with pytest.raises(UnsuitableVolume, match="single pictures"):
        model.explain(make_volume(), make_empty_result(), "gradcam", lambda *_: None)


@pytest.mark.parametrize(
    ("way", "arrays"),
    [
        ("gradcam", {}),
        ("gradcam", {"map": np.zeros((1, 3, 4), np.float64)}),
        ("gradcam", {"map": np.zeros((1, 4, 3), np.float32)}),
        ("gradcam", {"map": np.full((1, 3, 4), np.nan, np.float32)}),
        ("gradcam", {"map": np.full((1, 3, 4), 1.5, np.float32)}),
        ("tta", {"deviation": np.full(2, 0.1)}),
        ("tta", {"deviation": np.array([0.7])}),
        ("tta", {"deviation": np.array([np.nan])}),
    ],
)
def test_what_is_no_explanation_is_a_named_error(way, arrays):
    volume = Volume(np.zeros((1, 3, 4), np.float32), np.eye(4), "1.2.3", "CT")
    card = read_card(json.loads((CONFIGS / "tiny_classification" / "configs" / "metadata.json").read_text()))
    with pytest.raises(BundleCrashed):
        add_explanation(make_empty_result(), way, arrays, volume, card)
