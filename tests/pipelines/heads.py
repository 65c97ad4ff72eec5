"""A head made of ellipsoids, as a CT volume."""

import numpy as np

from pipelines.terms import Volume
from tests.pipelines.chest import make_affine


def make_ct_head(spacing=(5.0, 2.0, 2.0), extent=(160.0, 240.0, 200.0), gap_mm=0.0):
    """CT in HU: skin, skull of 7 mm, brain. gap_mm: width of a hole in the skull, at the left, over all planes."""
    shape = tuple(round(e / s) for e, s in zip(extent, spacing, strict=True))
    affine = make_affine(spacing, (-extent[2] / 2, -extent[1] / 2, -extent[0] / 2))
    z, y, x = (
        (np.arange(n) * s + s / 2 - e / 2).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, (n, s, e) in enumerate(zip(shape, spacing, extent, strict=True))
    )
    skin, outer, inner = ((x / (75 - t)) ** 2 + (y / (95 - t)) ** 2 + (z / (110 - t)) ** 2 < 1 for t in (0, 8, 15))
    hu = np.full(shape, -1000.0)
    hu[skin] = 20.0
    hu[outer & ~((x > 0) & (abs(y) < gap_mm / 2))] = 1000.0
    hu[inner] = 35.0
    hu += np.random.default_rng(0).normal(0, 5, shape)
    return Volume(hu.astype(np.float32), affine, "1.2.3", "CT")
