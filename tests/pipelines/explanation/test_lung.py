"""lung-seg explained: by its shipped weights, on a made chest and, where there is one, on a real one."""

import numpy as np
import pytest
import torch

from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from pipelines.catalog import get_pipeline
from pipelines.explanation.deletion import delete_first, find_area
from pipelines.lung_seg.explain import TISSUE_HU, draw_gradients, score_lung
from pipelines.lung_seg.network import make_network
from pipelines.terms import Volume
from tests.pipelines.chest import make_chest

QUIET = lambda *_: None  # noqa: E731


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(2)
    return get_pipeline("lung-seg").load("cpu")


BLOCK = slice(0, 16), slice(16, 56), slice(8, 56)
"""Of the model's grid: part of one lung and of what is around it, as large as the tests have time for."""


def look(model, volume):
    """(HU in a block of the model's grid, where lung is seen, the map of its gradients)."""
    hu = model.to_model_grid(volume)[0][BLOCK].clone()
    region = model.predict(hu, QUIET) > 0.4
    return hu, region, draw(model.network, hu, region)


def draw(network, hu, region):
    return draw_gradients(network, hu, region, QUIET, steps=6)


@pytest.fixture(scope="module")
def seen(model):
    volume, *_ = make_chest((5.0, 3.0, 3.0))
    return look(model, Volume(volume.voxels[26:36].copy(), volume.affine, "1.2.3", "CT"))


def test_a_map_has_the_grid_of_the_model_and_is_the_same_again(model, seen):
    hu, region, found = seen
    assert (found.shape, found.dtype) == (hu.shape, torch.float32)
    assert (float(found.min()), float(found.max())) == (0.0, 1.0)
    assert torch.equal(found, draw(model.network, hu, region))
    assert 0.1 < float(region.float().mean()) < 0.9
    assert found[region].sum() > 0.9 * found.sum()


def check_deletion(model, seen):
    """Without what the map calls important the lungs go sooner than without as many voxels of lung by chance."""
    hu, region, found = seen
    image = hu[None, None]
    fill = torch.where(image.isnan(), image, TISSUE_HU)
    score = score_lung(model.network, region)
    by_chance = torch.rand(hu.shape, generator=torch.Generator().manual_seed(4))
    curves = [delete_first(score, image, one, fill) for one in (found, by_chance, by_chance * region)]
    mine, anywhere, in_lung = (find_area(curve) for curve in curves)
    assert curves[0][0] > 0
    assert mine < in_lung < anywhere


def test_the_score_of_a_made_chest_drops_sooner_without_the_most_salient_voxels(model, seen):
    check_deletion(model, seen)


def test_the_score_of_a_real_chest_drops_sooner_without_the_most_salient_voxels(model, real_data):
    (stack,), _ = read_stacks(sorted((real_data / "ct_chest_LungDx_A0001" / "series3_soft_kernel").rglob("*.dcm")))
    whole = load_volume(stack)
    middle = whole.shape[0] // 2
    step = round(60 / whole.spacing[0])
    part = Volume(whole.voxels[middle : middle + step].copy(), whole.affine, "1.2.3", "CT")
    check_deletion(model, look(model, part))


def test_randomized_weights_change_the_map(seen):
    """Adebayo et al. 2018. Not its ranks: density, which no weights know, says most of what is lung."""
    hu, region, found = seen
    torch.manual_seed(5)
    other = draw(make_network().eval(), hu, region)
    assert float((other - found).abs().mean()) > 0.3 * float(found.mean())


def test_without_lung_there_is_nothing_to_draw(model, seen):
    assert not np.any(draw(model.network, seen[0], torch.zeros_like(seen[1])).numpy())
