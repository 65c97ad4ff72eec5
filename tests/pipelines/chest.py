"""A chest made of ellipsoids, as a CT volume: for tests that need to know where the lungs are."""

import numpy as np

from pipelines.terms import Volume


def make_affine(spacing=(5.0, 3.0, 3.0), origin=(0.0, 0.0, 0.0)):
    """Axial planes upward: k, j, i along +z, +y, +x (LPS). spacing: (k, j, i) mm."""
    affine = np.eye(4)
    affine[:3, :3] = np.fliplr(np.diag(spacing[::-1]))
    affine[:3, 3] = origin
    return affine


def make_chest(spacing=(5.0, 3.0, 3.0), extent=(300.0, 270.0, 390.0), lungs=True, seed=0):
    """(volume, right, left): CT in HU, and where its lungs are; right is larger than left. All air inside the body is
    lung, but for a trachea. With lungs=False the lungs are filled with tissue."""
    shape = tuple(round(e / s) for e, s in zip(extent, spacing, strict=True))
    affine = make_affine(spacing, (-extent[2] / 2, -extent[1] / 2, -extent[0] / 2))
    z, y, x = (
        (np.arange(n) * s + s / 2 - e / 2).reshape([-1 if a == axis else 1 for a in range(3)])
        for axis, (n, s, e) in enumerate(zip(shape, spacing, extent, strict=True))
    )
    body = (x / 175) ** 2 + (y / 115) ** 2 + 0 * z < 1
    right = ((x + 80) / 62) ** 2 + ((y + 2) / 76) ** 2 + ((z + 10) / 120) ** 2 < 1
    left = ((x - 80) / 54) ** 2 + ((y + 2) / 72) ** 2 + ((z + 10) / 115) ** 2 < 1
    trachea = ((x / 9) ** 2 + ((y - 10) / 9) ** 2 < 1) & (z > 20)
    spine = (x / 20) ** 2 + ((y - 80) / 22) ** 2 + 0 * z < 1
    random = np.random.default_rng(seed)
    hu = np.full(shape, -1000.0)
    hu[body] = 40.0
    hu[spine & body] = 300.0
    if lungs:
        hu[right | left] = -840.0
        vessels = random.random(shape) < 0.04
        hu[(right | left) & vessels] = -500.0
        hu[trachea] = -1000.0
    hu += random.normal(0, 15, shape)
    voxels = np.maximum(hu, -1024).astype(np.float32)
    nothing = np.zeros(shape, dtype=bool)
    sides = (right, left) if lungs else (nothing, nothing)
    return Volume(voxels, affine, "1.2.3", "CT"), *sides
