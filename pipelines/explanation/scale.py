"""Maps of different methods on one scale, and on the image's grid."""

import torch
from torch import Tensor
from torch.nn import functional

MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def scale_to_most(values: Tensor) -> Tensor:
    """`values` as a share of the highest: 0..1, what is negative being 0. All 0 where nothing is positive.

    Shares of one map compare places in one image; of two images they compare nothing.
    """
    values = values.clamp_min(0.0)
    most = float(values.max())
    return values / most if most > 0 else values


def enlarge(values: Tensor, size: tuple[int, ...]) -> Tensor:
    """A coarse map (*space) linearly between its cells' centers, at `size`."""
    made = functional.interpolate(values[None, None].float(), size=size, mode=MODES[values.ndim], align_corners=False)
    return made[0, 0]


def smooth(values: Tensor, cell: int) -> Tensor:
    """Means (*space) over cubes (squares) of `cell` voxels, an odd number, around each voxel: single voxels of a
    gradient say little."""
    if cell % 2 == 0:
        raise ValueError(f"a cell has a middle voxel where its side is odd, not {cell}")
    pool = {2: functional.avg_pool2d, 3: functional.avg_pool3d}[values.ndim]
    made: Tensor = pool(values[None, None], cell, stride=1, padding=cell // 2, count_include_pad=False)[0, 0]
    return made


def normalize(values: Tensor) -> Tensor:
    """float32 on the CPU, finite, as a share of the highest."""
    return scale_to_most(torch.nan_to_num(values.detach().float().cpu(), posinf=0.0, neginf=0.0))
