"""The made head: the template's brain in its true place, in a skull."""

import sys

import numpy as np
import pytest

from node.demo.head import find_template, make_head
from node.errors import ConfigError


@pytest.fixture(scope="module")
def template():
    try:
        return find_template()
    except ConfigError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def head(template):
    return make_head(template)


def test_the_brain_lies_where_the_template_has_it(head, template):
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.load(template)
    values = np.asarray(image.dataobj)
    rng = np.random.default_rng(1)
    index = np.argwhere(values > 60)[rng.integers(0, np.count_nonzero(values > 60), 4000)]
    world = (image.affine @ np.c_[index, np.ones(len(index))].T)[:3]
    lps = np.diag([-1, -1, 1]) @ world
    k, j, i = np.rint(np.linalg.solve(head.affine, np.r_[lps, np.ones((1, len(index)))])[:3]).astype(int)
    assert head.brain[k, j, i].all()
    assert np.corrcoef(head.voxels[k, j, i], values[tuple(index.T)])[0, 1] > 0.9


def test_the_rows_run_to_the_left_and_the_planes_to_the_head(head):
    np.testing.assert_array_equal(head.affine[:3, :3], np.fliplr(np.eye(3)))
    assert head.brain_ml == pytest.approx(np.count_nonzero(head.brain) / 1000)
    assert 1500 < head.brain_ml < 2000


def test_a_dark_skull_and_a_bright_scalp_surround_the_brain(head):
    k, j, i = (int(v) for v in np.argwhere(head.brain).mean(axis=0))
    upward = head.voxels[k:, j, i].astype(int)
    inside = np.count_nonzero(head.brain[k:, j, i])
    beyond = upward[inside:]
    assert beyond[:12].min() < 120
    assert beyond.max() > 700
    assert np.median(beyond[-4:]) < 30


def test_the_head_is_wholly_in_view_above_and_at_its_sides(head):
    air = 60
    for edge in (head.voxels[-1], head.voxels[:, -1], head.voxels[..., 0], head.voxels[..., -1]):
        assert np.percentile(edge, 99) < air


def test_the_absent_template_is_named_with_its_remedy(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "nilearn", raising=False)
    with pytest.raises(ConfigError, match="pip install --no-deps nilearn"):
        find_template()
