"""Bright blobs of many sizes in a dark surrounding: where the negative Laplacian of a Gaussian peaks (Lindeberg,
Int J Comput Vis 1998;30:79-116, doi:10.1023/A:1008045108935)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.terms import Mask

SIGMAS_MM = (1.3, 1.9, 2.8, 4.2, 6.3, 9.0)
"""A ball of diameter d answers most at sigma = d / (2 sqrt 3): these are balls of 4.5 to 31 mm."""


@dataclass(frozen=True, slots=True)
class Blob:
    """index: (k, j, i) of the array searched. sigma_mm: the scale at which it answers most; strength: how much, in
    units of the array."""

    index: tuple[int, int, int]
    sigma_mm: float
    strength: float


def find_blobs(
    values: NDArray[np.float32], where: Mask, spacing_mm: float, least: float, most: int, apart_mm: float = 4.0
) -> list[Blob]:
    """The strongest blobs of `values` (k, j, i; isotropic) with their middle in `where`, the strongest first.

    At most `most` that answer with at least `least`; of two nearer than `apart_mm`, or than the radius of the stronger,
    that one alone.
    """
    found: list[Blob] = []
    for sigma in SIGMAS_MM:
        # Scale-normalized: a blob's answer does not depend on its size.
        answer = -(sigma**2) * _take_laplacian(values, sigma / spacing_mm) / spacing_mm**2
        peaks = (answer >= least) & where
        peaks &= answer >= ndimage.maximum_filter(answer, size=3)
        found += [Blob((int(k), int(j), int(i)), sigma, float(answer[k, j, i])) for k, j, i in np.argwhere(peaks)]
    return _thin(found, spacing_mm, apart_mm, most)


def _take_laplacian(values: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    smooth = ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3.0)
    return np.asarray(ndimage.laplace(smooth, mode="nearest"))


def _thin(found: list[Blob], spacing_mm: float, apart_mm: float, most: int) -> list[Blob]:
    kept: list[Blob] = []
    places = np.empty((0, 3))
    reach = np.empty(0)
    for blob in sorted(found, key=lambda one: (-one.strength, one.index, one.sigma_mm)):
        at = np.array(blob.index, dtype=np.float64) * spacing_mm
        if len(kept) == most:
            break
        if not (np.linalg.norm(places - at, axis=1) < reach).any():
            kept.append(blob)
            places = np.vstack([places, at])
            reach = np.append(reach, max(apart_mm, 1.5 * blob.sigma_mm))
    return kept
