"""The network and what it is shown: shared by training and by the pipeline, so that the two never drift apart."""

from collections.abc import Sequence

import torch
from monai.networks.nets import UNet
from torch import Tensor, nn

SPACING_MM = 3.0
"""Isotropic voxels of the model's grid, its k, j, i along +z, +y, +x (LPS)."""
PATCH = (48, 80, 112)
"""Voxels seen at once: 144 mm of height and the whole cross-section of most patients, so that right, left, front and
back are always in view."""
STRIDE = 8
"""Every side that the network sees is a multiple of this."""
LEAST_PATCH = (16, 32, 32)
HU_RANGE = (-1024.0, 400.0)
BORDER_HU = -400.0
BORDER_WIDTH_HU = 150.0
EVIDENCE = 3.0
PADDING_HU = -1500.0
"""What is lower was never measured: scanners pad the corners outside their circle with -2000 or -3024."""


def fit_patch(shape: Sequence[int]) -> tuple[int, int, int]:
    """The patch for a volume of `shape`: PATCH, or less where the volume is smaller. A thin slab is seen as one, not
    in a box of nothing: instance normalization would take its statistics from the nothing."""
    fits = (max(least, -(-n // STRIDE) * STRIDE) for least, n in zip(LEAST_PATCH, shape, strict=True))
    k, j, i = (min(most, n) for most, n in zip(PATCH, fits, strict=True))
    return k, j, i


def weigh_density(logits: Tensor, hu: Tensor) -> Tensor:
    """`logits` with the density of each voxel as evidence of up to EVIDENCE: the network, trained on the sum, learns
    what density does not know (trachea, bowel, vessels, disease); the border runs where density is half way from lung
    to tissue. `hu` is NaN where unknown."""
    evidence = ((BORDER_HU - hu.nan_to_num(BORDER_HU)) / BORDER_WIDTH_HU).clamp(-1.0, 1.0)
    return logits + EVIDENCE * evidence


def make_network() -> nn.Module:
    """A UNet from 2 channels (`to_input`) to 1 logit: lung or not. Right and left are told apart afterwards, by
    place: a network trained on mirrored patients could not."""
    network: nn.Module = UNet(
        spatial_dims=3,
        in_channels=2,
        out_channels=1,
        channels=(12, 24, 48, 64),
        strides=(2, 2, 2),
        num_res_units=1,
        norm=("instance", {"affine": True}),
    )
    return network


def to_input(hu: Tensor) -> Tensor:
    """`hu` (..., k, j, i), NaN where nothing was measured, as channels (..., 2, k, j, i): gray in -1..1, 0 where
    unknown, and 1 where known, else 0. The second tells air from nothing in thin slabs and small fields of view."""
    known = torch.nan_to_num(hu, nan=-torch.inf) > PADDING_HU
    low, high = HU_RANGE
    gray = (hu.clamp(low, high) - low) * (2.0 / (high - low)) - 1.0
    return torch.stack([torch.where(known, gray, 0.0), known.to(hu.dtype)], dim=-4)
