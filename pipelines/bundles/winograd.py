"""Convolutions of 3 x 3 x 3 on a CPU with half of the multiplications.

Winograd's F(4, 3) along the first axis (Lavin and Gray 2016, arXiv:1509.09308): six planes are added up to six others,
each is convolved within itself with a filter of its own, and what comes out is added up to four planes of the answer:
six convolutions of a plane where the definition takes twelve. The sums are others than the definition's, so answers
differ by rounding, some 1e-5 of their deviation.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

OUTPUTS, INPUTS = 4, 6
"""Planes that a tile answers, and that it needs."""
MOST = 1 << 22
"""Numbers of added up planes at a time: 16 MB, most of which stay in the processor's caches."""
LEAST_PLANES, LEAST_CHANNELS = 8, 16
"""Below these adding up costs more than it saves."""
FILTERS = (
    (1 / 4, 0, 0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0, 0, 1),
)
"""The filter of each added up plane, of those along the first axis."""


def quicken(network: nn.Module) -> None:
    """Replaces convolutions of `network` by ones that give the same answers, to rounding, in less time on a CPU: under
    the same names, with the same weights, which stay as they are from now on. With gradients, on a GPU and in another
    precision they do what they did."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return
    for parent in list(network.modules()):
        for name, layer in parent.named_children():
            if type(layer) is nn.Conv3d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
                setattr(parent, name, QuickConv3d(layer))


class QuickConv3d(nn.Conv3d):
    """A convolution whose input lies as its weights do (see layout.py), by Winograd where that saves time."""

    def __init__(self, layer: nn.Conv3d) -> None:
        super().__init__(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,  # type: ignore[arg-type]  # a tuple of ints, of as many as there are axes
            layer.stride,  # type: ignore[arg-type]
            layer.padding,  # type: ignore[arg-type]
            layer.dilation,  # type: ignore[arg-type]
            layer.groups,
            layer.bias is not None,
            device="meta",
        )
        self.weight, self.bias = layer.weight, layer.bias
        self.train(layer.training)
        threes, ones = (3, 3, 3), (1, 1, 1)
        self._is_halved = (
            (self.kernel_size, self.stride, self.padding, self.dilation) == (threes, ones, ones, ones)
            and self.groups == 1
            and min(self.in_channels, self.out_channels) >= LEAST_CHANNELS
        )
        self._filters = make_filters(self.weight) if self._is_halved else []

    def forward(self, image: Tensor) -> Tensor:
        if (
            torch.is_grad_enabled()
            or type(image) is not Tensor
            or (image.device.type, image.dtype, self.weight.dtype) != ("cpu", torch.float32, torch.float32)
        ):
            return super().forward(image)
        if self._is_halved and image.shape[2] >= LEAST_PLANES and _has_channels_last(image):
            return convolve(image, self._filters, self.bias)
        # torch judges by the first four sizes alone whether an image is worth its library, and is slow without it.
        padding: Any = self.padding
        return torch.mkldnn_convolution(image, self.weight, self.bias, padding, self.stride, self.dilation, self.groups)


def _has_channels_last(image: Tensor) -> bool:
    return image.is_contiguous(memory_format=torch.channels_last_3d)


def make_filters(weight: Tensor) -> list[Tensor]:
    """Six filters (output, input, y, x) of one (output, input, z, y, x)."""
    to_planes = torch.tensor(FILTERS, dtype=torch.float64)
    made = torch.einsum("pz,oizyx->poiyx", to_planes, weight.detach().double()).float()
    return [one.contiguous(memory_format=torch.channels_last) for one in made]


def convolve(image: Tensor, filters: Sequence[Tensor], bias: Tensor | None) -> Tensor:
    """`image` (n, input, z, y, x) convolved with zeros around it, (n, output, z, y, x), channels last: what
    functional.conv3d(image, weight, bias, padding=1) says with `filters` made of its weight."""
    n, channels, depth, height, width = image.shape
    answer = image.new_empty(n, depth, height, width, filters[0].shape[0])
    tiles = -(-depth // OUTPUTS)
    step = max(1, MOST // (INPUTS * height * width * max(channels, answer.shape[-1])))
    for planes, out in zip(image.permute(0, 2, 3, 4, 1), answer, strict=True):
        for first in range(0, tiles, step):
            count = min(step, tiles - first)
            begin, end = OUTPUTS * first, OUTPUTS * (first + count)
            made = _convolve_tiles(_cut(planes, begin - 1, end + 1), count, filters, bias)
            for number, part in enumerate(made):
                place = out[begin + number : end : OUTPUTS]
                place.copy_(part[: len(place)])
    return answer.permute(0, 4, 1, 2, 3)


def _cut(planes: Tensor, begin: int, end: int) -> Tensor:
    """The planes (z, y, x, channel) from `begin` to before `end`, with zeros where there are none."""
    cut = planes[max(begin, 0) : end]
    before = max(-begin, 0)
    after = end - begin - before - len(cut)
    return functional.pad(cut, (0, 0, 0, 0, 0, 0, before, after)) if before or after else cut


def _convolve_tiles(planes: Tensor, count: int, filters: Sequence[Tensor], bias: Tensor | None) -> tuple[Tensor, ...]:
    """The first, second, third and fourth plane of each of `count` tiles."""
    parts = _spread(*(planes[number::OUTPUTS][:count] for number in range(INPUTS)))
    products = (
        functional.conv2d(part.permute(0, 3, 1, 2), one, bias if number == 1 else None, padding=1).permute(0, 2, 3, 1)
        for number, (part, one) in enumerate(zip(parts, filters, strict=True))
    )  # the second product is once in each of the four planes, and the bias with it
    return _gather(*products)


def _spread(d0: Tensor, d1: Tensor, d2: Tensor, d3: Tensor, d4: Tensor, d5: Tensor) -> tuple[Tensor, ...]:
    even, odd = torch.sub(d4, d2, alpha=4), torch.sub(d3, d1, alpha=4)
    second, third = even + odd, even.sub_(odd)
    even, odd = d4 - d2, d3 - d1
    first = torch.add(even, d0 - d2, alpha=4)
    last = (d5 - d3).sub_(odd, alpha=4)
    return first, second, third, torch.add(even, odd, alpha=2), even.sub_(odd, alpha=2), last


def _gather(p0: Tensor, p1: Tensor, p2: Tensor, p3: Tensor, p4: Tensor, p5: Tensor) -> tuple[Tensor, ...]:
    sum1, difference1 = p1 + p2, p1.sub_(p2)
    sum2, difference2 = p3 + p4, p3.sub_(p4)
    return (
        p0.add_(sum1).add_(sum2),
        torch.add(difference1, difference2, alpha=2),
        sum1.add_(sum2, alpha=4),
        p5.add_(difference1).add_(difference2, alpha=8),
    )
