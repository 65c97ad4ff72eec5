"""Convolutions with half of the multiplications say what the library's say, and stand aside where they may not."""

import copy

import pytest
import torch
from monai.networks.nets import SegResNet, UNet
from torch import nn
from torch.nn import functional

from pipelines.bundles import winograd
from pipelines.bundles.layout import lay_out
from pipelines.bundles.winograd import QuickConv3d, convolve, make_filters, quicken


def lay(image):
    return image.contiguous(memory_format=torch.channels_last_3d)


@pytest.fixture
def halved(monkeypatch):
    """The shapes of images that were convolved with half of the multiplications."""
    seen = []
    monkeypatch.setattr(
        winograd, "convolve", lambda image, *rest: (seen.append(tuple(image.shape)), convolve(image, *rest))[1]
    )
    return seen


@pytest.mark.parametrize("depth", range(1, 14))
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("most", [1, 6 * 5 * 7 * 9 * 2, 1 << 22])
def test_the_answer_is_that_of_the_definition(depth, with_bias, most, monkeypatch):
    monkeypatch.setattr(winograd, "MOST", most)
    image, weight = torch.randn(2, 6, depth, 5, 7), torch.randn(9, 6, 3, 3, 3)
    bias = 10 * torch.randn(9) if with_bias else None
    whole = functional.conv3d(image.double(), weight.double(), None if bias is None else bias.double(), padding=1)
    found = convolve(lay(image), make_filters(weight), bias)
    assert found.is_contiguous(memory_format=torch.channels_last_3d)
    torch.testing.assert_close(found.double(), whole, rtol=0, atol=2e-5 * float(whole.std()))


def test_its_error_is_of_the_order_of_the_library_s():
    image, layer = torch.randn(1, 64, 24, 12, 12), nn.Conv3d(64, 64, 3, padding=1)
    whole = functional.conv3d(image.double(), layer.weight.double(), layer.bias.double(), padding=1)
    with torch.inference_mode():
        one, other = layer(image), convolve(lay(image), make_filters(layer.weight), layer.bias)
    errors = [float((said.double() - whole).detach().pow(2).mean().sqrt()) for said in (one, other)]
    assert errors[1] < 10 * errors[0]


def make_segresnet():
    return SegResNet(spatial_dims=3, init_filters=16, in_channels=1, out_channels=5, blocks_down=(1, 2), blocks_up=(1,))


def make_unet():
    return UNet(3, 1, 4, channels=(16, 32, 32), strides=(2, 2), num_res_units=2, norm="batch")


@pytest.mark.parametrize("make", [make_segresnet, make_unet])
def test_a_whole_network_says_the_same(make, halved):
    network, image = make().eval(), torch.randn(1, 1, 24, 16, 20)
    whole = copy.deepcopy(network).double()
    lay_out(network)
    names = {name: weight.data_ptr() for name, weight in network.named_parameters()}
    quicken(network)
    with torch.inference_mode():
        found, wanted = network(image), whole(image.double())
    assert halved
    assert {name: weight.data_ptr() for name, weight in network.named_parameters()} == names
    assert set(whole.state_dict()) == set(network.state_dict())
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=1e-4 * float(wanted.std()))


def test_gradients_are_those_of_the_layer(halved):
    layer, image = nn.Conv3d(16, 16, 3, padding=1), lay(torch.randn(1, 16, 12, 6, 6)).requires_grad_()
    network = nn.Sequential(layer)
    (wanted,) = torch.autograd.grad(network(image).square().sum(), image)
    quicken(network)
    assert isinstance(network[0], QuickConv3d)
    (found,) = torch.autograd.grad(network(image).square().sum(), image)
    torch.testing.assert_close(found, wanted)
    assert not halved


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"stride": 2, "padding": 1}, 12),
        ({"padding": 2, "dilation": 2}, 12),
        ({"padding": 1, "groups": 2}, 12),
        ({"padding": 0}, 12),
        ({"padding": (1, 1, 0)}, 12),
        ({"padding": 1}, 4),
    ],
)
def test_other_convolutions_and_small_images_are_left_to_the_library(options, size, halved):
    network = nn.Sequential(nn.Conv3d(16, 16, 3, **options), nn.Conv3d(16, 16, 1))
    image = lay(torch.randn(1, 16, size, 6, 6))
    with torch.inference_mode():
        wanted = network(image)
        quicken(network)
        torch.testing.assert_close(network(image), wanted, rtol=1e-4, atol=1e-5)
    assert not halved


@pytest.mark.parametrize("options", [{"padding": 1, "padding_mode": "reflect"}, {"padding": "same"}])
def test_paddings_of_other_kinds_stay(options):
    network = nn.Sequential(nn.Conv3d(16, 16, 3, **options))
    quicken(network)
    assert type(network[0]) is nn.Conv3d


def test_in_another_precision_and_order_of_numbers_the_library_answers(halved):
    network, image = nn.Sequential(nn.Conv3d(16, 16, 3, padding=1)), torch.randn(1, 16, 12, 6, 6)
    with torch.inference_mode():
        wanted = network(image)
        quicken(network)
        torch.testing.assert_close(network(image), wanted, rtol=1e-4, atol=1e-5)
        assert not halved
        torch.testing.assert_close(network(lay(image)), wanted, rtol=1e-4, atol=1e-4)
        assert halved == [(1, 16, 12, 6, 6)]
        found = network.double()(lay(image.double()))
        torch.testing.assert_close(found.float(), wanted, rtol=1e-4, atol=1e-5)
    assert len(halved) == 1
