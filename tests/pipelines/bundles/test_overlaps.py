"""Classes that may overlap: each is a mask of its own, however many there are, and also where there is one alone."""

import numpy as np
import pytest
import torch

from pipelines.bundles import program
from pipelines.bundles.after import take_each
from pipelines.bundles.concepts import Concept
from pipelines.bundles.findings import make_result
from pipelines.bundles.install import add_bundle, read_installed
from pipelines.bundles.program import Program
from pipelines.terms import Code
from tests.pipelines.bundles.made import edit_metadata, make_bundle, make_volume

VOLUME = make_volume(shape=(10, 12, 14))


def make_program(count, shelf, tmp_path):
    """A network of `count` classes without a background, each with a sigmoid."""

    def edit(config):
        config["network_def"]["out_channels"] = count
        activation, invert, discrete, _ = config["postprocessing"]["transforms"]
        activation |= {"softmax": False, "sigmoid": True}
        del discrete["argmax"]
        discrete["threshold"] = 0.5
        config["postprocessing"]["transforms"] = [activation, invert, discrete]

    bundle = make_bundle("tiny_ct_segmentation", tmp_path, edit=edit)
    channels = {str(n): f"tumor {n}" for n in range(count)}
    edit_metadata(bundle, lambda pred: pred.update(num_channels=count, channel_def=channels))
    add_bundle(bundle, shelf, "many")
    installed = read_installed(shelf / "many-1.0.0")
    return Program(installed, "cpu", trusted=False), installed.card


def run(made):
    return made.run([VOLUME.voxels], VOLUME.affine, lambda *_: None).arrays


def test_more_classes_than_are_kept_as_scores_are_not_arg_maxed(shelf, tmp_path, monkeypatch):
    made, card = make_program(40, shelf, tmp_path)
    assert card.overlaps
    masks = run(made)["masks"]
    assert masks.shape == (40, *VOLUME.shape)
    assert (masks.sum(axis=0) > 1).any()
    monkeypatch.setattr(program, "MANY_CLASSES", 1000)
    assert np.mean(run(made)["masks"] == masks) > 0.999


def test_many_masks_are_laid_back_one_at_a_time():
    seen = []

    def lay_back(data):
        seen.append((tuple(data["pred"].shape), data["pred"].dtype))
        return {"pred": data["pred"].repeat(1, 2, 1, 1)}

    masks = torch.rand(5, 2, 3, 4) > 0.5
    taken = take_each(lay_back)({"pred": masks})["pred"]
    assert seen == [((1, 2, 3, 4), torch.float32)] * 5
    assert torch.equal(taken, masks.repeat(1, 2, 1, 1))
    assert taken.permute(0, 3, 2, 1).is_contiguous()


@pytest.mark.parametrize("there", [True, False])
def test_one_class_without_a_background_is_a_mask(there, shelf, tmp_path):
    made, card = make_program(1, shelf, tmp_path)
    made._network = lambda patch: torch.full_like(patch, 3.0 if there else -3.0)
    masks = run(made)["masks"]
    assert (masks.shape, masks.dtype) == ((1, *VOLUME.shape), np.bool_)
    assert (masks == there).all()
    concepts = {"tumor 0": Concept(Code("108369006", "SCT", "Neoplasm"), lesion=True)}
    (finding,) = make_result({"masks": masks}, card, concepts, VOLUME, {}).findings
    assert finding.absent is not there
