"""A scan with one thing in it that tests.pipelines.bundles.corner finds, and what a worker would ask of it."""

import numpy as np
import torch

from pipelines.bundles.boxes import Reported
from pipelines.bundles.image import to_image
from pipelines.terms import Volume
from tests.pipelines.bundles.made import make_volume

QUIET = lambda *_: None  # noqa: E731
SHAPE = (24, 40, 60)
BODY = (slice(8, 16), slice(12, 20), slice(30, 38))
BRIGHT = (slice(14, 16), slice(12, 14), slice(30, 32))
"""The corner of BODY by which Corner finds it: up, ahead and to the right of the patient, in an upright volume."""


def space(config):
    """To another grid before."""
    to = {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [1.5, 1.2, 2.5], "mode": "bilinear"}
    config["preprocessing"]["transforms"].insert(3, to)


def make_scan(flips=(), oblique=False, corner=1000.0, body=0.0):
    """Air with BODY, of which BRIGHT is as `corner`, HU; stored backward along the axes `flips`, without being moved in
    the patient."""
    voxels = np.full(SHAPE, -1000.0, np.float32)
    voxels[BODY], voxels[BRIGHT] = body, corner
    affine = make_volume(SHAPE, oblique=oblique).affine.copy()
    for axis in flips:
        affine[:3, 3] += affine[:3, axis] * (SHAPE[axis] - 1)
        affine[:3, axis] *= -1
    return Volume(np.ascontiguousarray(np.flip(voxels, flips)), affine, "1.2.3", "CT")


def report(made, volume, least=0.5):
    """What a worker would ask for: the boxes of the answer, all of one kind."""
    found = made.run([volume.voxels], volume.affine, QUIET).arrays
    certain = found["scores"] >= least
    return Reported(found["boxes"][certain], np.ones((int(certain.sum()), 1), np.bool_)), found["scores"][certain]


def explain(made, volume, way, reported=None):
    reported = reported or report(made, volume)[0]
    return made.explain([volume.voxels], volume.affine, way, QUIET, reported).arrays


def see(made, volume):
    """The Scene of the bundle."""
    made.run([volume.voxels], volume.affine, QUIET)
    with torch.inference_mode():
        data = made._before({made._key: to_image([volume.voxels], volume.affine)})
    return made._detector.see(data[made._key], volume.shape, volume.affine)
