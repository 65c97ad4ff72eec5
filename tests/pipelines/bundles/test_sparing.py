"""Smaller windows: about half as long, and such as a network can halve."""

import numpy as np
import pytest
from monai.inferers import SimpleInferer, SlidingWindowInferer

from pipelines.bundles.install import add_bundle, read_installed
from pipelines.bundles.program import Program
from pipelines.bundles.sparing import shorten, spare
from tests.pipelines.bundles.made import make_bundle, make_volume


@pytest.mark.parametrize(
    ("side", "smaller"),
    [(96, 64), (128, 64), (160, 96), (64, 32), (240, 128), (512, 256), (32, 32), (16, 16), (-1, -1), (45, 23)],
)
def test_sides(side, smaller):
    assert shorten(side) == smaller


def test_what_has_no_windows_is_left_as_it_is():
    assert not spare(SimpleInferer())
    assert not spare(SlidingWindowInferer((16, 16, 16), 1))
    flat = SlidingWindowInferer(64, 1)
    assert spare(flat)
    assert flat.roi_size == 32


def test_a_program_that_spares_says_so_and_answers_on_the_same_grid(shelf, tmp_path):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path, edit=lambda c: c["inferer"].update(roi_size=[64] * 3))
    add_bundle(bundle, shelf, "tiny")
    installed, volume = read_installed(shelf / "tiny-1.0.0"), make_volume()
    whole, sparing = (Program(installed, "cpu", trusted=False, sparing=one) for one in (False, True))
    assert (whole.is_spared, sparing.is_spared) == (False, True)
    answers = [one.run([volume.voxels], volume.affine, lambda *_: None).arrays["labels"] for one in (whole, sparing)]
    assert answers[0].shape == answers[1].shape == volume.shape
    assert np.mean(answers[0] == answers[1]) > 0.5
