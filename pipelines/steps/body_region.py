"""Which region of the body a CT shows, by how much air, bone and soft tissue lie across it from plane to plane.

No organ is outlined. Three patterns are told: lung fills a share of the trunk (chest); bone encloses soft tissue that
is as large as a brain (head); a trunk with neither (abdomen, or pelvis where bone is a larger share of it). The first
two nothing else in the body has, so they may be sure. The third they may hide in: a chest without air looks like it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.steps.body import TISSUE_HU
from pipelines.terms import Mask, Region, Sighting, Volume

PIXEL_MM, STEP_MM = 4.0, 10.0
"""Of the coarse copy that is looked at: within planes across the patient, and from one to the next at least."""
AIRY_HU, GAS_HU = -300.0, -965.0
"""Below the first is air mixed with tissue, below the second, in the middle of a part, hardly any tissue."""
LEAST_PIXELS = 20
BONE_HU = 250.0
BRAIN_HU = (-20.0, 120.0)

TRUNK_CM2 = 250.0
LUNG_SHARE = 0.12
"""Of the trunk across."""
BRAIN_CM2 = (50.0, 260.0)
HEAD_CM2 = (90.0, 420.0)
"""Soft tissue that bone encloses; the whole head across, with nose, ears and a cushion's edge."""
BRAIN_SHARE = 0.35
SECTORS, RING_SHARE = 36, 0.8
"""Bone in so many of the directions from the middle of the body lies around it."""
PELVIS_BONE_SHARE = 0.075

SURE_SHARE, SURE_MM = 0.5, 30.0
"""A pattern in so much of the images, and so long, is no accident."""
LEAST_SHARE, LEAST_MM = 0.35, 150.0
"""A region is named when it takes either: the upper abdomen at the end of a chest is not."""


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """Plane by plane across the patient, from the feet to the head; step_mm apart. Areas in cm2.

    body: all that the skin holds; lung, bone, enclosed (soft tissue with bone around it): parts of it.
    """

    body: NDArray[np.float64]
    lung: NDArray[np.float64]
    bone: NDArray[np.float64]
    enclosed: NDArray[np.float64]
    step_mm: float


def find_region(volume: Volume) -> Sighting:
    """What the pixels of `volume` show; nothing when they do not tell: not CT, not in HU, a few planes along z."""
    profile = measure_profile(volume)
    if profile is None:
        return Sighting()
    shown = _find_patterns(profile)
    named = frozenset(region for region, planes in shown.items() if _is_named(planes, profile.step_mm))
    sure = frozenset(one for one in (Region.CHEST, Region.HEAD) if _is_sure(shown[one], profile.step_mm))
    return Sighting(named, sure)


def count_planes(volume: Volume) -> dict[Region, tuple[int, int]]:
    """On how many of the planes across the patient the pattern of a region is to be seen, of how many that were looked
    at; empty where find_region sees nothing at all."""
    profile = measure_profile(volume)
    if profile is None:
        return {}
    return {region: (int(planes.sum()), planes.size) for region, planes in _find_patterns(profile).items()}


def _find_patterns(profile: Profile) -> dict[Region, NDArray[np.bool_]]:
    """On which planes the pattern of each region is to be seen."""
    with np.errstate(divide="ignore", invalid="ignore"):
        lung, bone, enclosed = (
            np.nan_to_num(part / profile.body) for part in (profile.lung, profile.bone, profile.enclosed)
        )
    trunk = profile.body >= TRUNK_CM2
    chest = trunk & (lung >= LUNG_SHARE)
    brain = (profile.enclosed >= BRAIN_CM2[0]) & (profile.enclosed <= BRAIN_CM2[1]) & (enclosed >= BRAIN_SHARE)
    head = brain & (profile.body >= HEAD_CM2[0]) & (profile.body <= HEAD_CM2[1])
    rest = trunk & ~chest & ~head & (lung < LUNG_SHARE / 4)
    return {
        Region.CHEST: chest,
        Region.HEAD: head,
        Region.ABDOMEN: rest & (bone < PELVIS_BONE_SHARE),
        Region.PELVIS: rest & (bone >= PELVIS_BONE_SHARE),
    }


def measure_profile(volume: Volume) -> Profile | None:
    """The profile of a CT along the patient; None where there is none: another modality, values that are no HU, a
    volume that is not at least 60 mm wide and deep across the patient."""
    coarse = _make_coarse(volume)
    if coarse is None:
        return None
    hu, (step, row, column) = coarse
    pixel_cm2 = row * column / 100.0
    body = np.stack([_find_body(plane) for plane in hu])
    bone = (hu > BONE_HU) & body
    within = np.stack([_find_enclosed(*both) for both in zip(bone, body, strict=True)])
    parts = {
        "body": body,
        "lung": np.stack([_find_lung(*both) for both in zip(hu, body, strict=True)]),
        "bone": bone,
        "enclosed": within & (hu > BRAIN_HU[0]) & (hu < BRAIN_HU[1]),
    }
    return Profile(**{name: mask.sum(axis=(1, 2)) * pixel_cm2 for name, mask in parts.items()}, step_mm=step)


def _make_coarse(volume: Volume) -> tuple[NDArray[np.float32], tuple[float, float, float]] | None:
    """(HU, spacing in mm): planes nearest to those across the patient, upward, averaged within planes."""
    if volume.modality != "CT":
        return None
    directions = volume.affine[:3, :3] / np.linalg.norm(volume.affine[:3, :3], axis=0)
    along = int(np.abs(directions[2]).argmax())
    others = [axis for axis in range(3) if axis != along]
    axes = (along, *sorted(others, key=lambda axis: -abs(directions[1, axis])))
    spacing = [volume.spacing[axis] for axis in axes]
    voxels = volume.voxels.transpose(axes)
    if min(voxels.shape[n] * spacing[n] for n in (1, 2)) < 60.0:
        return None
    stride = max(1, round(STEP_MM / spacing[0]))
    rows, columns = (max(1, round(PIXEL_MM / spacing[n])) for n in (1, 2))
    planes = voxels[stride // 2 :: stride] if voxels.shape[0] > stride // 2 else voxels
    planes = planes[:: 1 if directions[2, along] > 0 else -1]
    hu = np.stack([_average(plane, rows, columns) for plane in planes])
    if not np.isfinite(hu).all() or not hu.min() < -200.0 < 0.0 < hu.max():
        return None
    return hu, (spacing[0] * stride, spacing[1] * rows, spacing[2] * columns)


def _average(plane: NDArray[np.float32], rows: int, columns: int) -> NDArray[np.float32]:
    height, width = plane.shape[0] // rows, plane.shape[1] // columns
    blocks = plane[: height * rows, : width * columns].reshape(height, rows, width, columns)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float32))


def _find_body(plane: NDArray[np.float32]) -> Mask:
    """The largest tissue of the plane, thin table and cloth opened away, with what it encloses."""
    solid = ndimage.binary_opening(plane > TISSUE_HU, iterations=2)
    labels, count = ndimage.label(solid)
    if not count:
        return np.zeros(plane.shape, bool)
    largest = labels == 1 + int(np.bincount(labels.ravel())[1:].argmax())
    return np.asarray(ndimage.binary_fill_holes(ndimage.binary_closing(np.pad(largest, 3), iterations=3)[3:-3, 3:-3]))


def _find_lung(plane: NDArray[np.float32], body: Mask) -> Mask:
    """The parts of the body that hold air, without those that hold hardly anything else: gas in the bowel, trachea."""
    labels, count = ndimage.label((plane < AIRY_HU) & body)
    if not count:
        return np.zeros_like(body)
    names = np.arange(count + 1)
    middles = np.asarray(ndimage.median(plane, labels, names))
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    lung = (middles > GAS_HU) & (sizes >= LEAST_PIXELS)
    lung[0] = False
    return np.asarray(lung[labels])


def _find_enclosed(bone: Mask, body: Mask) -> Mask:
    """What bone lies around, seen from the middle of the body; nothing where it is open on more than a few sides.

    A gap in the skull, by nature or by surgery, costs its own sector alone.
    """
    if not bone.any():
        return np.zeros_like(bone)
    middle = np.argwhere(body).mean(axis=0)
    j, i = np.ogrid[: body.shape[0], : body.shape[1]]
    turn = np.arctan2(j - middle[0], i - middle[1]) / (2 * np.pi) + 0.5
    sector = np.asarray(turn * SECTORS, dtype=np.intp) % SECTORS
    radius = np.asarray(np.hypot(j - middle[0], i - middle[1]))
    outermost = np.zeros(SECTORS)
    np.maximum.at(outermost, sector[bone], radius[bone])
    if np.count_nonzero(outermost) < RING_SHARE * SECTORS:
        return np.zeros_like(bone)
    return np.asarray((radius < outermost[sector]) & ~bone)


def _is_named(planes: NDArray[np.bool_], step_mm: float) -> bool:
    count = int(planes.sum())
    return count > 0 and (count >= LEAST_SHARE * planes.size or count * step_mm >= LEAST_MM)


def _is_sure(planes: NDArray[np.bool_], step_mm: float) -> bool:
    count = int(planes.sum())
    return count >= SURE_SHARE * planes.size and count * step_mm >= SURE_MM
