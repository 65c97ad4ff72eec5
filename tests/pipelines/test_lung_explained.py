"""What lung-seg says of itself, on the grid of the source."""

import numpy as np
import pytest
import torch

from pipelines.catalog import get_pipeline
from pipelines.lung_seg import explain as ways
from pipelines.lung_seg.explain import CHANGES
from pipelines.pipeline import ExplainingModel
from pipelines.terms import Volume
from tests.pipelines.chest import make_chest

QUIET = lambda *_: None  # noqa: E731


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(2)
    return get_pipeline("lung-seg").load("cpu")


@pytest.fixture(scope="module")
def slab():
    volume, *_ = make_chest((5.0, 3.0, 3.0), extent=(300.0, 200.0, 300.0))
    return Volume(volume.voxels[27:33].copy(), volume.affine, "1.2.3", "CT")


@pytest.fixture(scope="module")
def result(model, slab):
    return model.run(slab, QUIET)


def test_it_explains_itself_in_the_ways_of_its_manifest(model):
    assert isinstance(model, ExplainingModel)
    assert get_pipeline("lung-seg").manifest.explains == ("tta", "gradients")


def test_uncertainty_lies_at_the_edges_and_volumes_have_a_deviation(model, slab, result, monkeypatch):
    monkeypatch.setattr(ways, "CHANGES", CHANGES[:3])
    told = []
    explained = model.explain(slab, result, "tta", lambda *step: told.append(step))
    (scalars,) = explained.maps
    assert (scalars.values.shape, scalars.values.dtype) == (slab.shape, np.float32)
    assert 0 <= scalars.values.min() < scalars.values.max() <= 1
    assert (scalars.quantity.meaning, scalars.unit.value) == ("Predictive entropy", "bit")
    lungs = np.logical_or.reduce([segment.mask for segment in explained.segments])
    middle = scalars.values[len(lungs) // 2]
    inner, outer = lungs[len(lungs) // 2], ~lungs[len(lungs) // 2]
    edge = np.zeros_like(inner)
    edge[1:] |= inner[1:] != inner[:-1]
    edge[:, 1:] |= inner[:, 1:] != inner[:, :-1]
    assert middle[edge].mean() > middle[inner & ~edge].mean()
    assert middle[edge].mean() > 2 * middle[outer & ~edge].mean()
    for before, after in zip(result.findings, explained.findings, strict=True):
        (added,) = after.measurements[len(before.measurements) :]
        assert after.measurements[: len(before.measurements)] == before.measurements
        assert (added.derivation.meaning, added.method.meaning) == ("Standard Deviation", "Test-time augmentation")
        assert 0 <= added.value < 0.05 * before.measurements[0].value
    assert "not how right" in explained.notes[-1].text
    assert [share for share, _ in told] == sorted(share for share, _ in told)


def test_nothing_found_is_nothing_to_explain(model):
    volume, *_ = make_chest((5.0, 3.0, 3.0), extent=(300.0, 200.0, 300.0), lungs=False)
    slab = Volume(volume.voxels[27:33].copy(), volume.affine, "1.2.3", "CT")
    explained = model.explain(slab, model.run(slab, QUIET), "gradients", QUIET)
    assert explained.maps == ()
    assert "nothing to explain" in explained.notes[-1].text
