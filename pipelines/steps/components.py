"""Connected parts of a mask (k, j, i), bool; voxels are neighbors by a common face."""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.terms import Mask


def label_components(mask: Mask) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(labels, sizes): labels 1..n over the components, 0 elsewhere; sizes[n] voxels of label n, sizes[0] is 0."""
    labels, count = ndimage.label(mask)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    return labels.astype(np.int32, copy=False), sizes


def keep_largest(mask: Mask, count: int = 1) -> Mask:
    """The `count` largest components of `mask`; all of them when it has fewer, nothing when it is empty."""
    labels, sizes = label_components(mask)
    kept = np.argsort(sizes, kind="stable")[::-1][:count]
    return np.isin(labels, kept[sizes[kept] > 0])


def keep_larger_than(mask: Mask, voxels: float) -> Mask:
    """The components of `mask` that have at least `voxels` voxels."""
    labels, sizes = label_components(mask)
    keep = sizes >= max(1.0, voxels)
    return np.asarray(keep[labels])


def fill_small_holes(mask: Mask, pixels: float) -> Mask:
    """`mask` with those holes filled that are enclosed in a plane across the first axis and have at most `pixels`."""
    filled = mask.copy()
    for k in np.flatnonzero(mask.any(axis=(1, 2))):
        labels, sizes = label_components(fill_holes(mask[k]) & ~mask[k])
        filled[k] |= (sizes[labels] <= pixels) & (labels > 0)
    return filled


def fill_holes(mask: Mask, axis: int | None = None) -> Mask:
    """`mask` with its cavities filled: enclosed in three dimensions, or in each plane across `axis`."""
    if axis is None:
        return np.asarray(ndimage.binary_fill_holes(mask))
    planes = np.moveaxis(mask, axis, 0)
    filled = np.stack([ndimage.binary_fill_holes(plane) if plane.any() else plane for plane in planes])
    return np.moveaxis(filled, 0, axis)
