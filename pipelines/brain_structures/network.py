"""MeshNet: ten convolutions of 21 channels, whose dilation grows to 16 voxels and back; no voxel is ever skipped.

Fedorov et al., "End-to-end learning of brain tissue segmentation from imperfect labeling", IJCNN 2017,
doi 10.1109/IJCNN.2017.7966333; the numbers are those of brainchop's 18-class network. Names of the weights follow the
published file: `model.0.weight`, `model.2.weight` ...
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 21
CLASSES = 18
DILATIONS = (1, 2, 4, 8, 16, 8, 4, 2, 1)
REACH = sum(DILATIONS)
"""Voxels from which an answer is influenced, in every direction."""
PLANES = 32
"""Planes computed at once: bounds the memory of a step, whatever the size of the image."""

Step = Callable[[int], None]
"""Called with the number of layers that are done."""


class MeshNet(nn.Module):
    """From gray values 0..1, shape (1, 1, d, h, w), to 18 logits of every voxel, shape (1, 18, d, h, w)."""

    def __init__(self, dilations: tuple[int, ...] = DILATIONS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n, dilation in enumerate(dilations):
            layers += [nn.Conv3d(CHANNELS if n else 1, CHANNELS, 3, padding=dilation, dilation=dilation), nn.ELU()]
        self.model = nn.Sequential(*layers, nn.Conv3d(CHANNELS, CLASSES, 1))

    def forward(self, image: Tensor) -> Tensor:
        """The logits in one go: 2.8 GB for 256 voxels cubed."""
        logits: Tensor = self.model(image)
        return logits


def find_classes(network: MeshNet, image: Tensor, done: Step) -> Tensor:
    """The likeliest class of every voxel of `image` (d, h, w; on the network's device): uint8 of the same shape."""
    return decide_voxels(network, image, done, lambda logits: logits.argmax(dim=0).to(torch.uint8))


@torch.inference_mode()
def decide_voxels(network: MeshNet, image: Tensor, done: Step, decide: Callable[[Tensor], Tensor]) -> Tensor:
    """decide(logits), given (class, d, h, w) of a few planes, for every voxel of `image` (d, h, w): (..., d, h, w).

    The logits are those of `network(image)`, layer by layer in one buffer that each layer overwrites, PLANES at a
    time: 84 bytes a voxel and a few hundred MB, instead of twice that and the logits.
    """
    hidden = image.new_empty((CHANNELS, *image.shape))
    *convolutions, last = (layer for layer in network.model if isinstance(layer, nn.Conv3d))
    for n, convolution in enumerate(convolutions):
        _convolve(convolution, hidden if n else image[None], hidden)
        done(n + 1)
    starts = range(0, image.shape[0], PLANES)
    return torch.cat([decide(last(hidden[None, :, first : first + PLANES])[0]) for first in starts], dim=-3)


def _convolve(convolution: nn.Conv3d, source: Tensor, target: Tensor) -> None:
    """`target` (channels, d, h, w) becomes the activated convolution of `source`, which may be `target` itself: the
    planes that the next step still needs are kept before they are overwritten."""
    reach, depth = int(convolution.dilation[0]), source.shape[1]
    before = source.new_zeros((source.shape[0], reach, *source.shape[2:]))
    for first in range(0, depth, PLANES):
        end = min(first + PLANES, depth)
        seen = torch.cat([before, source[:, first : min(end + reach, depth)]], dim=1)
        beyond = max(0, end + reach - depth)
        seen = functional.pad(seen, (reach, reach, reach, reach, 0, beyond))
        before = seen[:, end - first : end - first + reach, reach:-reach, reach:-reach].clone()
        made = functional.conv3d(seen[None], convolution.weight, convolution.bias, dilation=reach)[0]
        target[:, first:end] = functional.elu_(made)
