"""Where a network looks: by networks that are written down, on the images as they came; and which cannot be seen."""

import numpy as np
import pytest
import torch
from monai.networks.nets.attentionunet import AttentionBlock
from torch import nn

from pipelines.bundles.card import Task
from pipelines.bundles.install import add_bundle, read_installed
from pipelines.bundles.program import Program
from pipelines.bundles.ways import list_ways
from pipelines.errors import BundleDrift
from tests.pipelines.bundles.made import make_bundle, make_volume
from tests.pipelines.bundles.test_steady import SHAPE, explain, load, make_corner, space

ATTENTION_UNET = {
    "_target_": "AttentionUnet", "spatial_dims": 3, "in_channels": 1, "out_channels": 2, "channels": [4, 8],
    "strides": [2],
}  # fmt: skip
UNETR = {
    "_target_": "monai.networks.nets.UNETR", "in_channels": 1, "out_channels": 2, "img_size": [32, 32, 32],
    "feature_size": 4, "hidden_size": 12, "mlp_dim": 16, "num_heads": 2,
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def alone():
    torch.set_num_threads(1)


class Coarse(nn.Module):
    """Half as fine in the middle, where it responds to what is bright."""

    def __init__(self):
        super().__init__()
        self.down = nn.AvgPool3d(2)
        self.up = nn.Upsample(scale_factor=2)

    def forward(self, image):
        return self.up(self.down(image)).repeat(1, 2, 1, 1, 1)


class Gated(nn.Module):
    """A gate that opens where it is bright."""

    def __init__(self):
        super().__init__()
        self.gate = AttentionBlock(spatial_dims=3, f_int=1, f_g=1, f_l=1).eval()
        convolutions = [one for one in self.gate.modules() if isinstance(one, nn.Conv3d)]
        for one, weight, bias in zip(convolutions, (1.0, 1.0, 12.0), (0.0, 0.0, -6.0), strict=True):
            nn.init.constant_(one.weight, weight)
            nn.init.constant_(one.bias, bias)

    def forward(self, image):
        return self.gate(image, image).repeat(1, 2, 1, 1, 1)


@pytest.mark.parametrize(
    ("flips", "oblique", "spaced"), [((), False, False), ((0, 2), True, False), ((1,), True, True)]
)
@pytest.mark.parametrize(("way", "network"), [("features", Coarse()), ("attention", Gated())])
def test_what_is_looked_at_lies_in_its_corner_whatever_the_axes(way, network, flips, oblique, spaced, shelf, tmp_path):
    made = load(shelf, tmp_path, edit=space if spaced else None)
    made._network = network
    volume, place = make_corner(flips, oblique)
    found = explain(made, volume, way)["map"]
    assert (found.shape, found.dtype) == (SHAPE, np.float32)
    assert found[place].mean() > 0.6
    assert found[~place].mean() < 0.15
    assert place[np.unravel_index(found.argmax(), SHAPE)]


def install(network, shelf, tmp_path, roi=16):
    def edit(config):
        config["network_def"] = network
        config["inferer"]["roi_size"] = [roi] * 3

    manifest = add_bundle(make_bundle("tiny_ct_segmentation", tmp_path, edit=edit), shelf, "tiny")
    return manifest, Program(read_installed(shelf / "tiny-1.0.0"), "cpu", trusted=False)


@pytest.mark.parametrize(("network", "roi"), [(ATTENTION_UNET, 16), (UNETR, 32)], ids=["gates", "patches"])
def test_a_bundle_whose_network_attends_shows_it_and_other_weights_another_thing(network, roi, shelf, tmp_path):
    manifest, made = install(network, shelf, tmp_path, roi)
    assert manifest.explains == ("tta", "features", "attention")
    volume = make_volume(SHAPE)
    found = explain(made, volume, "attention")["map"]
    assert found.shape == SHAPE
    assert 0 <= found.min() < found.max() <= 1
    assert np.array_equal(found, explain(made, volume, "attention")["map"])
    torch.manual_seed(9)
    for parameter in made._network.parameters():
        nn.init.normal_(parameter, std=0.4)
    other = explain(made, volume, "attention")["map"]
    assert np.corrcoef(found.ravel(), other.ravel())[0, 1] < 0.7


def test_other_weights_have_other_features(shelf, tmp_path):
    made, volume, maps = load(shelf, tmp_path), make_volume(SHAPE), []
    for seed in (11, 11, 12):
        torch.manual_seed(seed)
        for parameter in made._network.parameters():
            nn.init.normal_(parameter, std=0.4)
        maps.append(explain(made, volume, "features")["map"].ravel())
    assert np.array_equal(maps[0], maps[1])
    assert np.corrcoef(maps[0], maps[2])[0, 1] < 0.7


def test_a_bundle_whose_network_attends_nowhere_says_so(shelf, tmp_path):
    made = load(shelf, tmp_path)
    with pytest.raises(BundleDrift, match="the network has no attention"):
        explain(made, make_volume(SHAPE), "attention")


@pytest.mark.parametrize("network", ["@other", {"_target_": "SwinUNETR"}, {}, None])
def test_only_networks_that_can_be_read_attend(network):
    assert list_ways(Task.SEGMENTATION, network, 0) == ("tta", "features")
    assert list_ways(Task.SEGMENTATION, UNETR, 1) == ("tta", "features", "attention")
    assert list_ways(Task.DETECTION, UNETR, 5) == ("tta", "occlusion")
