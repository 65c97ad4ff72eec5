"""A blob as three small pictures, and the small network that looks at them: for training and pipelines alike.

Two networks see nodules of which nothing is known beyond their own upper and lower end: so the planes lie within the
blob, as far from its middle as its size says, and not a fixed way apart.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn

from pipelines.terms import Affine

SIDE = 32
"""Pixels of a picture along each edge."""
APART = 0.35
"""The outer planes lie this share of the diameter above and below the middle."""
FIELD_MM = (20.0, 48.0)
"""A picture is twice as wide as the blob, within these bounds."""
HU_RANGE = (-1000.0, 200.0)
Index = tuple[float, float, float]


def show_nodule(
    voxels: NDArray[np.float32],
    spacing: Index,
    center: Index,
    diameter_mm: float,
    stretch: tuple[float, float] = (1, 1),
) -> NDArray[np.float32]:
    """What a network is shown of a blob at index `center` (k, j, i): see take_planes. stretch: by how much field and
    distance of the planes are changed, in training."""
    field = _find_field(diameter_mm) * stretch[0]
    return take_planes(voxels, spacing, center, field, APART * diameter_mm * stretch[1])


def place_planes(affine: Affine, spacing: Index, center: Index, diameter_mm: float) -> Affine:
    """Where show_nodule looks: (plane, row, column, 1) of its pictures to (x, y, z, 1) in mm (LPS). affine, spacing:
    of the volume."""
    pixel_mm = _find_field(diameter_mm) / SIDE
    steps = np.array([APART * diameter_mm, pixel_mm, pixel_mm]) / spacing
    to_index = np.diag([*steps, 1.0])
    to_index[:3, 3] = center - steps * [1.0, (SIDE - 1) / 2, (SIDE - 1) / 2]
    placed: Affine = affine @ to_index
    return placed


def _find_field(diameter_mm: float) -> float:
    return float(np.clip(2.0 * diameter_mm, *FIELD_MM))


def take_planes(
    voxels: NDArray[np.float32], spacing: Index, center: Index, field_mm: float, apart_mm: float
) -> NDArray[np.float32]:
    """HU (3, SIDE, SIDE) of `voxels` (k, j, i; `spacing` mm): the plane through `center` and those `apart_mm` below and
    above, each a square of `field_mm`. Beyond the volume its outermost voxels go on."""
    step = field_mm / SIDE
    across = (np.arange(SIDE) - (SIDE - 1) / 2) * step
    ks = center[0] + np.array([-apart_mm, 0.0, apart_mm]) / spacing[0]
    js, is_ = center[1] + across / spacing[1], center[2] + across / spacing[2]
    places = [np.clip(axis, 0, size - 1) for axis, size in zip((ks, js, is_), voxels.shape, strict=True)]
    low = [int(np.floor(axis.min())) for axis in places]
    part = voxels[tuple(slice(start, int(axis.max()) + 2) for start, axis in zip(low, places, strict=True))]
    grid = np.meshgrid(*(axis - start for axis, start in zip(places, low, strict=True)), indexing="ij")
    sampled: NDArray[np.float32] = ndimage.map_coordinates(part, grid, order=1, mode="nearest")
    return sampled


def to_input(hu: Tensor) -> Tensor:
    """`hu` as numbers from -1 to 1."""
    low, high = HU_RANGE
    return (hu.clamp(low, high) - low) * (2.0 / (high - low)) - 1.0


def make_network(width: int = 24) -> nn.Module:
    """From pictures (n, 3, SIDE, SIDE) by `to_input` to one logit each, (n, 1)."""
    layers: list[nn.Module] = []
    channels = 3
    for wide in (width, 2 * width, 3 * width):
        layers += [_convolve(channels, wide), _convolve(wide, wide), nn.MaxPool2d(2)]
        channels = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(channels, 1))


def _convolve(channels: int, wide: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels, wide, 3, padding=1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(0.1)
    )  # fmt: skip


def ask(network: nn.Module, shown: Tensor) -> Tensor:
    """The logit of each of `shown` (n, 3, SIDE, SIDE; by `to_input`): (n,), the mean over the eight ways to lay a
    picture."""
    turned = [turn for flat in (shown, shown.flip(-1)) for turn in (torch.rot90(flat, n, (-2, -1)) for n in range(4))]
    return torch.stack([network(view)[:, 0] for view in turned]).double().mean(dim=0)


def predict(network: nn.Module, planes: NDArray[np.float32], device: str) -> NDArray[np.float64]:
    """What `ask` says of each of `planes` (n, 3, SIDE, SIDE; HU)."""
    if len(planes) == 0:
        return np.empty(0)
    with torch.inference_mode():
        logits = ask(network, to_input(torch.from_numpy(planes).to(device)))
    return np.asarray(logits.cpu().numpy())
