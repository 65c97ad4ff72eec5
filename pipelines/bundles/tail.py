"""The last layer of a network taken off, where it may come after the windows are put together.

A linear layer and a weighted mean commute: mean(W f + b) = W mean(f) + b, since the weights of a mean add up to one.
So where a network ends in a convolution of one voxel, windows bring its 32 features instead of 105 classes, and each
voxel goes through the last layer once, not once a window.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """weight: (class, feature). bias: (class,)."""

    weight: Tensor
    bias: Tensor | None

    def apply(self, features: Tensor) -> Tensor:
        """(..., class) of (..., feature), in float32."""
        bias = None if self.bias is None else self.bias.to(features.device)
        return nn.functional.linear(features, self.weight.to(features.device), bias)


@torch.no_grad()
def take_tail(network: nn.Module, patch: Tensor) -> Tail | None:
    """The last layer of `network`, out of which it is taken: it answers features from now on. None, and nothing is
    done, unless what it says of `patch` (1, channel, x, y, z) is what a convolution of one voxel says, used once,
    untouched, and widening."""
    said: list[tuple[str, Tensor, int]] = []

    def listen(name: str) -> torch.utils.hooks.RemovableHandle:
        layer = network.get_submodule(name)
        return layer.register_forward_hook(lambda _, __, output: said.append((name, output, output._version)))

    names = [name for name, layer in network.named_modules() if name and _is_linear(layer)]
    hooks = [listen(name) for name in names]
    try:
        output = network(patch)
    finally:
        for hook in hooks:
            hook.remove()
    last = [name for name, tensor, version in said if tensor is output and tensor._version == version]
    if len(last) != 1 or sum(name == last[0] for name, *_ in said) != 1:
        return None
    layer = network.get_submodule(last[0])
    assert isinstance(layer, nn.Conv3d)
    parent, _, own = last[0].rpartition(".")
    setattr(network.get_submodule(parent), own, nn.Identity())
    bias = None if layer.bias is None else layer.bias.detach().clone()
    return Tail(layer.weight.detach().flatten(1).contiguous(), bias)


def _is_linear(layer: nn.Module) -> bool:
    """Whether `layer` is a function of each voxel alone, linear, with more outputs than inputs."""
    ones = (1, 1, 1)
    return (
        type(layer) is nn.Conv3d
        and (layer.kernel_size, layer.stride, layer.padding) == (ones, ones, (0, 0, 0))
        and layer.groups == 1
        and layer.out_channels > layer.in_channels
        and not (layer._forward_hooks or layer._forward_pre_hooks)
    )
