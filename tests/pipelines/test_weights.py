import pytest
import torch
from safetensors.torch import save_file

from pipelines.errors import WeightsMismatch, WeightsMissing
from pipelines.weights import get_sha256, load_weights


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.arange(3.0)}, path)
    return path


def test_the_pinned_weights_are_loaded(weights):
    assert load_weights(weights, get_sha256(weights).upper())["a"].tolist() == [0.0, 1.0, 2.0]


def test_other_weights_are_refused(weights):
    pinned = get_sha256(weights)
    save_file({"a": torch.arange(4.0)}, weights)
    with pytest.raises(WeightsMismatch, match=pinned):
        load_weights(weights, pinned)


def test_absent_weights_are_missing_by_name(tmp_path):
    with pytest.raises(WeightsMissing, match=r"weights\.safetensors"):
        load_weights(tmp_path / "weights.safetensors", "0" * 64)
