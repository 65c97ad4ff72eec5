"""Real nodules in the lungs of somebody else: a scan of which it is known where nodules are, those at least.

What surrounds a nodule in its own cut-out comes along for RIM_MM and fades out. Places are drawn in the depth of the
lungs, so that none touches the pleura: this is easier than life.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.evaluation.reference import Target
from pipelines.steps.morphology import erode_ball
from pipelines.terms import Mask, Volume
from pipelines.training.lidc import Voi

RIM_MM = 2.0
DEEP_MM, APART_MM = 12.0, 35.0
LUNG_HU = -850.0
LEAST_RADIUS_MM = 4.0


def plant(
    volume: Volume, lungs: Mask, vois: Sequence[Voi], dice: np.random.Generator
) -> tuple[Volume, tuple[Target, ...]]:
    """`volume` with as many of `vois` as there are places for, and where they lie. lungs: bool on its grid."""
    voxels = volume.voxels.copy()
    targets, taken = [], np.empty((0, 3))
    places = np.argwhere(erode_ball(lungs, DEEP_MM, volume.spacing))
    for voi, place in zip(vois, dice.permutation(places)[: 50 * len(vois)].reshape(-1, 50, 3), strict=False):
        far = [at for at in place if (np.linalg.norm((taken - at) * volume.spacing, axis=1) > APART_MM).all()]
        if not far:
            continue
        taken = np.vstack([taken, far[0]])
        _lay(voxels, volume.spacing, far[0], voi)
        x, y, z = (float(value) for value in (volume.affine @ (*far[0], 1.0))[:3])
        reach = max(LEAST_RADIUS_MM, voi.diameter_mm / 2)
        targets.append(Target((x - reach, y - reach, z - reach), (x + reach, y + reach, z + reach), round=True))
    planted = Volume(voxels, volume.affine, volume.frame_of_reference_uid, volume.modality)
    return planted, tuple(targets)


def _lay(voxels: NDArray[np.float32], spacing: tuple[float, float, float], place: NDArray[np.int64], voi: Voi) -> None:
    """Paints the nodule of `voi` over what lies around `place`."""
    padded = np.pad(voi.voxels, ((3, 3), (0, 0), (0, 0)), constant_values=LUNG_HU)
    outline = np.pad(voi.mask, ((3, 3), (0, 0), (0, 0)))
    away = ndimage.distance_transform_edt(~outline, sampling=voi.spacing)
    middle = [float(np.mean(index)) for index in np.nonzero(outline)]
    box, axes = [], []
    for at, mm, own, center, size, limit in zip(
        place, spacing, voi.spacing, middle, padded.shape, voxels.shape, strict=True
    ):
        reach = size * own / 2 / mm
        index = np.arange(max(0, int(at - reach)), min(limit, int(at + reach) + 1))
        box.append(slice(int(index[0]), int(index[-1]) + 1))
        axes.append((index - at) * mm / own + center)
    grid = np.meshgrid(*axes, indexing="ij")
    shown = ndimage.map_coordinates(padded, grid, order=1, mode="constant", cval=LUNG_HU)
    weight = np.clip(1.0 - ndimage.map_coordinates(away, grid, order=1, mode="nearest") / RIM_MM, 0.0, 1.0)
    part = voxels[tuple(box)]
    part += (weight * (shown - part)).astype(np.float32)
