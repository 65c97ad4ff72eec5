"""Dilation, erosion, opening and closing by balls in mm: exact for any radius, at the cost of a distance map."""

import numpy as np
from scipy import ndimage

from pipelines.terms import Mask


def dilate_ball(mask: Mask, radius_mm: float, spacing_mm: float | tuple[float, float, float]) -> Mask:
    """All voxels (k, j, i) within `radius_mm` of `mask`."""
    if not mask.any():
        return mask.copy()
    return np.asarray(ndimage.distance_transform_edt(~mask, sampling=spacing_mm) <= radius_mm)


def erode_ball(mask: Mask, radius_mm: float, spacing_mm: float | tuple[float, float, float]) -> Mask:
    """The voxels of `mask` farther than `radius_mm` from all that is not mask; beyond the array counts as mask."""
    if mask.all():
        return mask.copy()
    return np.asarray(ndimage.distance_transform_edt(mask, sampling=spacing_mm) > radius_mm)


def open_ball(mask: Mask, radius_mm: float, spacing_mm: float | tuple[float, float, float]) -> Mask:
    """`mask` without what is thinner than the ball."""
    return dilate_ball(erode_ball(mask, radius_mm, spacing_mm), radius_mm, spacing_mm) & mask


def close_ball(mask: Mask, radius_mm: float, spacing_mm: float | tuple[float, float, float]) -> Mask:
    """`mask` with the gaps narrower than the ball filled."""
    return erode_ball(dilate_ball(mask, radius_mm, spacing_mm), radius_mm, spacing_mm) | mask
