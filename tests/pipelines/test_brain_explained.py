"""How steady brain-extract and brain-structures are, by networks that are written down, on the grid of the source."""

import numpy as np
import pytest
import torch

from pipelines.brain_extract import chain
from pipelines.brain_extract.pipeline import BrainModel
from pipelines.brain_structures import explain as structures
from pipelines.brain_structures.conform import DIRECTIONS, Head
from pipelines.brain_structures.explain import decide_both
from pipelines.brain_structures.sides import Midplane
from pipelines.catalog import get_pipeline
from pipelines.explanation.lay import lay
from pipelines.pipeline import ExplainingModel
from pipelines.steps.resample import Grid
from pipelines.terms import Volume
from tests.pipelines.test_brain_structures import shade, write_network

QUIET = lambda *_: None  # noqa: E731


@pytest.fixture(scope="module", autouse=True)
def alone():
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", ["brain-extract", "brain-structures"])
def test_the_manifest_names_the_one_way(name):
    assert get_pipeline(name).manifest.explains == ("tta",)


def by_gray(image):
    """Brain is what is bright."""
    chance = torch.sigmoid(12 * (image[:, 0] - 0.5))
    return torch.stack([1 - chance, chance], dim=1)


def make_ball(turned=False):
    """A bright ball of 60 mm in the dark, off the middle, whose edge is gray; and how far it is from its center."""
    shape, center = (44, 50, 40), np.array([20.0, 28.0, 18.0])
    k, j, i = np.indices(shape)
    far = 4 * np.sqrt((k - center[0]) ** 2 + (j - center[1]) ** 2 + (i - center[2]) ** 2)
    voxels = (100 / (1 + np.exp((far - 60) / 3))).astype(np.float32)
    affine = np.eye(4)
    affine[:3, :3] = np.array([[0.0, 0, 4], [0, 4, 0], [4, 0, 0]])
    if turned:
        voxels, far = (np.ascontiguousarray(one[::-1].transpose(2, 0, 1)) for one in (voxels, far))
        affine[:3, 3] += affine[:3, 0] * (shape[0] - 1)
        affine[:3, 0] *= -1
        affine = affine[:, [2, 0, 1, 3]]
    return Volume(voxels, affine, "1.2.3", "MR"), far


@pytest.fixture
def model(monkeypatch):
    monkeypatch.setattr(chain, "COARSE", (32, 32, 32))
    monkeypatch.setattr(chain, "FINE", (48, 48, 48))
    return BrainModel(by_gray, by_gray, "cpu")


@pytest.mark.parametrize("turned", [False, True])
def test_a_brain_s_outline_is_unsure_at_its_edge_however_it_is_stored(turned, model):
    volume, far = make_ball(turned)
    result, told = model.run(volume, QUIET), []
    assert isinstance(model, ExplainingModel)
    explained = model.explain(volume, result, "tta", lambda share, _: told.append(share))
    (scalars,) = explained.maps
    assert (scalars.values.shape, scalars.values.dtype) == (volume.shape, np.float32)
    edge = abs(far - 60) < 4
    assert scalars.values[edge].mean() > 0.6
    assert scalars.values[far < 45].mean() < 0.2
    assert scalars.values[far > 80].mean() < 0.2
    (size,), (before, deviation) = result.findings[0].measurements, explained.findings[0].measurements
    assert before == size
    assert 0 < deviation.value < 0.05 * size.value
    assert deviation.unit == size.unit
    assert explained.segments == result.segments
    assert np.array_equal(scalars.values, model.explain(volume, result, "tta", QUIET).maps[0].values)
    assert told == sorted(told)


def test_another_network_is_unsure_elsewhere(model):
    volume, far = make_ball()
    result = model.run(volume, QUIET)
    other = BrainModel(by_gray, lambda image: by_gray(image + 0.12), "cpu")
    found, moved = (one.explain(volume, result, "tta", QUIET).maps[0].values for one in (model, other))
    assert far[moved > 0.7].mean() > far[found > 0.7].mean() + 1


def test_where_there_is_no_brain_nothing_has_a_deviation(model):
    voxels = np.random.default_rng(1).normal(0, 1, (30, 30, 30)).astype(np.float32)
    voxels[3, 3, 3] = 300
    volume = Volume(voxels, np.diag([4.0, 4.0, 4.0, 1.0]), "1.2.3", "MR")
    dark = BrainModel(lambda image: by_gray(image - 9), by_gray, "cpu")
    result = dark.run(volume, QUIET)
    explained = dark.explain(volume, result, "tta", QUIET)
    assert explained.findings == result.findings
    assert not explained.maps[0].values.any()


def test_of_18_classes_the_likeliest_and_one_chance_are_kept():
    logits = torch.randn(18, 2, 3, 4, generator=torch.Generator().manual_seed(1))
    classes, chance = decide_both(logits)
    assert torch.equal(classes.long(), logits.argmax(0))
    assert torch.allclose(chance, logits.softmax(0)[1:].sum(0), atol=1e-6)


def test_mirrored_readings_do_not_swap_the_sides_of_the_brain(monkeypatch):
    """A small head of white matter, more putamen on the left, and fluid, nearly as dark as air, in a corner."""
    monkeypatch.setattr(structures, "clean", lambda labels: labels)
    monkeypatch.setattr(structures, "find_midplane", lambda _: Midplane(np.array([1.0, 0, 0]), 19.5))
    classes = np.zeros((40, 44, 48), dtype=np.uint8)
    classes[6:34, 8:36, 6:40] = 1
    classes[8:12, 20:24, 20:24] = 9
    classes[26:32, 20:26, 20:26] = 9
    classes[28:36, 30:40, 36:44] = 3
    image = torch.from_numpy(shade(classes) / 1000)
    affine = np.eye(4)
    affine[:3, :3] = DIRECTIONS
    head = Head(image, image.numpy() >= 0, Grid(classes.shape, affine))
    network, told = write_network(), []
    with torch.no_grad():
        for parameter in network.model[2].parameters():
            parameter.mul_(1000)
    spread = structures.vary(head, network, told.append)
    assert spread.volumes["left-putamen"] == [0.216] * 6
    assert spread.volumes["right-putamen"] == [0.064] * 6
    assert told == [n / 6 for n in range(1, 7)]
    drawn = lay(spread.entropy, spread.affine, head.grid)
    assert drawn.shape == classes.shape
    assert drawn[classes == 3].min() > 5 * drawn[classes == 1].max()
