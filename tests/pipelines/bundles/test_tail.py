"""The last layer of a network, taken off only where the answer stays the same."""

import pytest
import torch
from monai.inferers import SlidingWindowInferer
from torch import nn

from pipelines.bundles.layout import lay_out
from pipelines.bundles.tail import take_tail
from pipelines.bundles.windows import decide_windows, keep_means

PATCH = torch.zeros(1, 1, 8, 8, 8)


def make_network(*after, last=40):
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1), nn.GroupNorm(2, 8), nn.ReLU(), nn.Sequential(nn.Conv3d(8, last, 1)), *after
    ).eval()


@pytest.mark.parametrize("shape", [(30, 21, 17), (9, 40, 12)])
def test_windows_of_features_give_the_classes_that_monai_gives(shape, monkeypatch):
    monkeypatch.setattr("pipelines.bundles.windows.ROOM", 40 * 500)
    network, image = make_network(), torch.randn(1, 1, *shape)
    inferer = SlidingWindowInferer((12, 10, 12), 1, 0.25, mode="gaussian", padding_mode="replicate")
    with torch.inference_mode():
        means = inferer(image, network)[0]
    tail = take_tail(network, PATCH)
    lay_out(network)
    with torch.inference_mode():
        assert network(PATCH).shape[1] == 8
        assert torch.equal(decide_windows(image, network, inferer, "cpu", tail=tail)[0], means.argmax(0))
        assert torch.allclose(decide_windows(image, network, inferer, "cpu", keep_means, tail), means, atol=1e-5)


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Conv3d(1, 4, 1)

    def forward(self, image):
        return self.last(self.last(image)[:, :1])


class Beside(nn.Sequential):
    def forward(self, image):
        return super().forward(image) + image


@pytest.mark.parametrize(
    "network",
    [make_network(nn.ReLU(inplace=True)), make_network(nn.Softmax(1)), make_network(last=4), Twice(),
     Beside(make_network()), nn.Conv3d(1, 4, 3, padding=1)],
    ids=["in place", "softmax", "fewer", "twice", "residual", "wide"],
)  # fmt: skip
def test_what_is_not_the_last_word_stays(network):
    before = network(PATCH)
    assert take_tail(network, PATCH) is None
    assert torch.equal(network(PATCH), before)


def test_networks_whose_layers_want_channels_apart_are_left_so():
    network = nn.Sequential(nn.Conv3d(8, 8, 3), nn.InstanceNorm3d(8))
    lay_out(network)
    assert network[0].weight.is_contiguous()
    network = nn.Sequential(nn.Conv3d(8, 8, 3), nn.Conv2d(8, 8, 3), nn.BatchNorm3d(8))
    lay_out(network)
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last_3d)
    assert network[1].weight.is_contiguous(memory_format=torch.channels_last)


def test_what_the_first_layer_says_of_one_channel_lies_as_the_rest_does():
    layer, image = nn.Conv3d(1, 8, 3, padding=1), torch.randn(2, 1, 12, 10, 9)
    with torch.inference_mode():
        before = layer(image)
        lay_out(layer)
        after = layer(image)
    assert after.is_contiguous(memory_format=torch.channels_last_3d)
    assert torch.allclose(after, before, atol=1e-6)
