"""Where the numbers of a network lie in memory."""

import torch
from torch import Tensor, nn

FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
PLANAR = (nn.InstanceNorm2d, nn.InstanceNorm3d)
"""Layers that copy what does not come channel by channel."""


def lay_out(network: nn.Module) -> None:
    """The channels of a voxel beside each other, as the kernels of CPUs and of tensor cores want them: what goes
    through the network then lies as its weights do. The numbers stay what they are."""
    if any(isinstance(layer, PLANAR) for layer in network.modules()):
        return
    for layer in network.modules():
        for weight in layer.parameters(recurse=False):
            if weight.dim() in FORMATS:
                weight.data = _spell_out(weight.data.contiguous(memory_format=FORMATS[weight.dim()]))


def _spell_out(weight: Tensor) -> Tensor:
    """Of a single channel the weights lie both ways at once. Libraries go by the strides, and would lay what the first
    layer says the other way."""
    if weight.shape[1] != 1:
        return weight
    first, _, *others = weight.stride()
    return weight.as_strided(weight.shape, (first, 1, *others))
