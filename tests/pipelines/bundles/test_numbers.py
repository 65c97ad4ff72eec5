"""A network that answers no numbers has not looked: that is never "nothing found"."""

import pytest
import torch

from pipelines.bundles.install import add_bundle, read_installed
from pipelines.bundles.program import Program
from pipelines.errors import BundleDrift
from tests.pipelines.bundles.made import edit_metadata, make_bundle, make_volume


def install(shelf, tmp_path, change=lambda weight: weight, edit=None):
    bundle = make_bundle("tiny_ct_segmentation", tmp_path)
    path = bundle / "models" / "model.pt"
    torch.save({name: change(weight) for name, weight in torch.load(path).items()}, path)
    if edit is not None:
        edit_metadata(bundle, edit)
    add_bundle(bundle, shelf, "tiny")
    return read_installed(shelf / "tiny-1.0.0")


def run(installed):
    volume = make_volume(shape=(8, 16, 16))
    return Program(installed, "cpu", trusted=False).run([volume.voxels], volume.affine, lambda *_: None)


def test_weights_that_are_no_numbers_are_not_loaded(shelf, tmp_path):
    with pytest.raises(BundleDrift, match="holds NaN"):
        run(install(shelf, tmp_path, lambda weight: weight * float("nan")))


def test_an_answer_that_is_no_number_is_not_taken_for_background(shelf, tmp_path):
    with pytest.raises(BundleDrift, match="answers NaN"):
        run(install(shelf, tmp_path, lambda weight: weight * 1e38 if weight.is_floating_point() else weight))


@pytest.mark.parametrize("classes", [3, 40], ids=["few", "many, decided as windows go by"])
def test_a_network_of_other_channels_than_the_metadata_name_is_refused(classes, shelf, tmp_path):
    def edit(pred):
        pred["num_channels"] = classes
        pred["channel_def"] |= {str(n): f"part {n}" for n in range(2, classes)}

    with pytest.raises(BundleDrift, match=f"2 output channels, its metadata say {classes}"):
        run(install(shelf, tmp_path, edit=edit))
