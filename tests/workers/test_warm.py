"""The models of a child, and what they are computed with."""

import pytest
import torch

from workers.warm import Warm

FLAGS = [
    (torch.backends.cuda.matmul, "allow_tf32"),
    (torch.backends.cudnn, "allow_tf32"),
    (torch.backends.cudnn, "deterministic"),
    (torch.backends.cudnn, "benchmark"),
]


def read():
    return [getattr(place, name) for place, name in FLAGS]


@pytest.fixture
def _careless():
    """torch as a package may have left it: a GPU may give other numbers the next time."""
    before = read()
    for (place, name), value in zip(FLAGS, (True, True, False, True), strict=True):
        setattr(place, name, value)
    yield
    for (place, name), value in zip(FLAGS, before, strict=True):
        setattr(place, name, value)


@pytest.mark.usefixtures("_careless")
def test_models_on_a_gpu_are_computed_repeatably():
    Warm("cuda:0")
    assert read() == [False, False, True, False]
