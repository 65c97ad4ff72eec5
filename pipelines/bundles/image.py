"""Our volume as MONAI's image and back: axes (x, y, z) as a NIfTI reader gives them, coordinates RAS."""

from collections.abc import Sequence

import numpy as np
import torch
from monai.data import MetaTensor
from numpy.typing import NDArray
from torch import Tensor

from pipelines.terms import Affine

TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
REVERSE = np.array([[0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
"""Index (i, j, k) of MONAI to index (k, j, i) of ours, and the other way."""


def to_image(volumes: Sequence[NDArray[np.float32]], affine: Affine) -> MetaTensor:
    """Volumes (k, j, i) on one grid with `affine` (to LPS, mm) as one image (channel, i, j, k), its affine to RAS.

    Channel first, as after LoadImaged and EnsureChannelFirstd, whose meta data it has.
    """
    stacked = torch.from_numpy(np.stack([np.ascontiguousarray(one.transpose(2, 1, 0)) for one in volumes]))
    ras = torch.as_tensor(find_ras(affine))
    shape = np.asarray(stacked.shape[1:])
    meta = {"space": "RAS", "original_affine": ras.clone(), "spatial_shape": shape, "original_channel_dim": 0}
    return MetaTensor(stacked, affine=ras, meta=meta)


def plain(tensor: Tensor) -> Tensor:
    """Without what MONAI keeps beside it."""
    return tensor.as_tensor() if isinstance(tensor, MetaTensor) else torch.as_tensor(tensor)


def find_ras(affine: Affine) -> Affine:
    """The affine from (i, j, k) to RAS of a volume whose `affine` leads from (k, j, i) to LPS."""
    ras: Affine = TO_RAS @ affine @ REVERSE
    return ras


def to_picture(voxels: NDArray[np.float32], channels: int) -> MetaTensor:
    """One plane (1, j, i) as a picture (channel, i, j), gray repeated for every channel."""
    plane = torch.from_numpy(np.ascontiguousarray(voxels[0].T))
    return MetaTensor(plane[None].repeat(channels, 1, 1), affine=torch.eye(4, dtype=torch.float64))


def from_image(answer: Tensor) -> Tensor:
    """(channel, i, j, k) as (channel, k, j, i)."""
    return answer.permute(0, 3, 2, 1)


def to_indices(boxes: NDArray[np.float64], image_affine: Affine, affine: Affine) -> NDArray[np.float64]:
    """Boxes (n, 6) x0 y0 z0 x1 y1 z1 in voxels of an image with `image_affine` (to RAS) as (n, 2, 3): lower and upper
    corners in index coordinates (k, j, i) of the volume with `affine`. A box that comes to lie oblique is enclosed."""
    return _enclose(boxes, np.linalg.inv(affine) @ np.linalg.inv(TO_RAS) @ image_affine)


def to_voxels(corners: NDArray[np.float64], image_affine: Affine, affine: Affine) -> NDArray[np.float64]:
    """The other way: (n, 2, 3) in index coordinates of the volume as boxes (n, 6) in voxels of the image."""
    lead = np.linalg.inv(image_affine) @ TO_RAS @ affine
    return _enclose(corners.reshape(-1, 6), lead).reshape(-1, 6)


def _enclose(boxes: NDArray[np.float64], lead: Affine) -> NDArray[np.float64]:
    """The least boxes (n, 2, 3) along the axes to which `lead` leads around `boxes` (n, 6), lower corner first."""
    if not len(boxes):
        return np.zeros((0, 2, 3))
    picks = np.array([[a, b, c] for a in (0, 3) for b in (1, 4) for c in (2, 5)])
    corners = boxes[:, picks]
    points = np.concatenate([corners, np.ones((*corners.shape[:2], 1))], axis=2)
    places = (points @ lead.T)[..., :3]
    return np.stack([places.min(axis=1), places.max(axis=1)], axis=1)
