"""What an outline says against itself: the networks outline something in anything, even in noise."""

import numpy as np
from scipy import ndimage

from pipelines.errors import UnsuitableVolume
from pipelines.terms import Mask, Note, Volume

USUAL_ML = (800.0, 2200.0)
"""Between these lies nearly every adult's outline: brain, ventricles and the fluid between the gyri."""
MOST_ML = 3000.0
"""More than this is no head."""
CUT_MM2 = 50.0
"""Area of the outline on a face of the volume from which on it counts as cut there."""
RIM_MM = (1.0, 8.0)
"""Where fluid, meninges and bone lie around the brain: the darkest quarter of it is dark in T1 weighting."""
DARK_RIM = 0.75
"""Largest ratio of that quarter to the median of the brain; measured: see MODEL_CARD.md."""

SIDES = (("right", "left"), ("anterior", "posterior"), ("inferior", "superior"))
"""Where x, y and z of the patient (LPS) begin and end."""


def find_doubts(mask: Mask, volume: Volume) -> tuple[Note, ...]:
    """Notes on a cut or an unusual brain. Raises UnsuitableVolume when what is outlined cannot be a brain."""
    milliliters = float(np.count_nonzero(mask)) * volume.voxel_ml
    if milliliters > MOST_ML:
        raise UnsuitableVolume(f"{milliliters:.0f} mL were outlined: no brain is so large, so this is no head in T1")
    if measure_rim(mask, volume) > DARK_RIM:
        raise UnsuitableVolume("what was outlined has no dark border as a skull makes one: no head in T1 weighting")
    cuts = find_cuts(mask, volume)
    if cuts:
        where = " and ".join(cuts)
        return (Note(f"The brain reaches the {where} edge of the images: its volume is a lower bound."),)
    low, high = USUAL_ML
    if not low <= milliliters <= high:
        return (Note(f"The volume is unusual for an adult ({low:.0f} to {high:.0f} mL): review the outline."),)
    return ()


def find_cuts(mask: Mask, volume: Volume) -> tuple[str, ...]:
    """The sides of the patient on which the mask is cut by the field of view."""
    found = []
    for axis in range(3):
        direction = volume.affine[:3, axis]
        main = int(np.abs(direction).argmax())
        across, down = (volume.affine[:3, n] for n in range(3) if n != axis)
        area = float(np.linalg.norm(np.cross(across, down)))
        for index, grows in ((0, False), (-1, True)):
            if np.count_nonzero(mask.take(index, axis)) * area >= CUT_MM2:
                found.append(SIDES[main][int((direction[main] > 0) == grows)])
    return tuple(sorted(set(found)))


def measure_rim(mask: Mask, volume: Volume) -> float:
    """First quartile of the voxels RIM_MM outside of the mask over the median within it: 0 without a rim, infinite
    where the mask lies in the dark itself."""
    near = _crop(mask, volume.spacing)
    steps = [side.step * mm for side, mm in zip(near, volume.spacing, strict=True)]
    outside = ndimage.distance_transform_edt(~mask[near], sampling=steps)
    rim = volume.voxels[near][(outside > RIM_MM[0]) & (outside <= RIM_MM[1])]
    darkest = float(volume.voxels.min())
    within = float(np.median(volume.voxels[mask])) - darkest
    if not rim.size:
        return 0.0
    return (float(np.percentile(rim, 25)) - darkest) / within if within > 0 else np.inf


def _crop(mask: Mask, spacing: tuple[float, float, float]) -> tuple[slice, ...]:
    """The mask's box with room for the rim, in steps of about 1 mm: distances elsewhere or finer are not wanted."""
    (box,) = ndimage.find_objects(mask.astype(np.uint8))
    room = [int(np.ceil(RIM_MM[1] / step)) + 1 for step in spacing]
    strides = [max(1, round(1.0 / mm)) for mm in spacing]
    return tuple(
        slice(max(0, side.start - more), side.stop + more, stride)
        for side, more, stride in zip(box, room, strides, strict=True)
    )
