"""Tilted and uneven stacks made upright and even for the model, and its answer laid back on the source images.

Models are trained on orthogonal grids and programs rebuild them, while a Segmentation is shown image by image. So the
model reads a resampled volume, and what it finds is brought back to each source image at that image's own position.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from node.dicom.placement import Placement, Plane, lay_mask, lay_values, place_planes, slide
from node.dicom.stack import Stack
from node.dicom.volume import AIR_HU
from pipelines.terms import Box, Finding, Note, Result, ScalarMap, Volume


@dataclass(frozen=True, slots=True, eq=False)
class Upright:
    """What a model reads of a stack, and the way back.

    stack: as it was read.
    volume: upright and even; the very volume of the stack where that is so already.
    placement: where the stack's planes lie in `volume`; None where they are its planes.
    """

    stack: Stack
    volume: Volume
    placement: Placement | None

    def restore(self, result: Result) -> Result:
        """`result`, found in `volume`, on the planes of `stack`, with notes that say so.

        Masks are taken from the nearest voxel (less than 0.5 mm away along the normal, half a pixel within the
        plane), maps linearly; a box becomes the one around what it holds, axes are to be found again. Numbers stay:
        they were measured on the upright grid, where a voxel has the volume that it should. An upright stack's result
        is returned as it is.
        Raises ValueError when a mask or a map is not of the volume's shape.
        """
        if self.placement is None:
            return result
        for key, array in [(s.key, s.mask) for s in result.segments] + [(m.key, m.values) for m in result.maps]:
            if array.shape != self.volume.shape:
                raise ValueError(f"{key!r} has shape {array.shape}, the volume {self.volume.shape}")
        placement = self.placement
        segments = tuple(replace(segment, mask=lay_mask(segment.mask, placement)) for segment in result.segments)
        lost = [
            Note(f"{new.label} lies beside the images, in the padding of the resampled grid: it is not shown.")
            for old, new in zip(result.segments, segments, strict=True)
            if old.mask.any() and not new.mask.any()
        ]
        return replace(
            result,
            segments=segments,
            findings=tuple(self._lay_finding(finding, placement) for finding in result.findings),
            maps=tuple(_lay_map(scalars, placement) for scalars in result.maps),
            notes=(*result.notes, *describe(self.stack), *lost),
        )

    def _lay_finding(self, finding: Finding, placement: Placement) -> Finding:
        laid = None
        if finding.box is not None:
            mask = lay_mask(finding.box.to_mask(self.volume.shape), placement)
            laid = Box.around(mask) if mask.any() else None
        return replace(finding, box=laid, axes=None)


def make_upright(stack: Stack, volume: Volume) -> Upright:
    """`volume`, the voxels of `stack`, on an orthogonal, even grid that covers all its planes.

    Linear between planes, along their normal, and between pixels; pixel spacing stays, place_planes tells the spacing
    along the normal. Where no plane reaches, CT is -1024 HU and any other modality has the volume's least value.
    Holds the result and two planes beside `volume`. An upright, even stack costs nothing.
    Raises ValueError when `volume` is not of the stack's shape or its planes are not in order.
    """
    if volume.shape != stack.shape:
        raise ValueError(f"the volume has shape {volume.shape}, its stack {stack.shape}")
    if stack.is_upright:
        return Upright(stack, volume, None)
    placement = place_planes(stack)
    voxels = _resample(volume.voxels, placement, AIR_HU if volume.modality == "CT" else float(volume.voxels.min()))
    return Upright(stack, replace(volume, voxels=voxels, affine=placement.affine), placement)


def _lay_map(scalars: ScalarMap, placement: Placement) -> ScalarMap:
    """A pixel has a value where all voxels have one from which it is made."""
    if (absent := scalars.absent) is None:
        return replace(scalars, values=lay_values(scalars.values, placement))
    laid = lay_values(np.where(absent, np.float32(np.nan), scalars.values), placement)
    return replace(scalars, values=np.where(np.isnan(laid), np.float32(scalars.nothing), laid))


def describe(stack: Stack) -> tuple[Note, ...]:
    """What a reader has to know of an answer that was found in a resampled volume of `stack`."""
    facts, tilt = [], stack.tilt_degrees
    if tilt:
        facts.append(f"The images were acquired with the gantry tilted by {tilt:.1f} degrees.")
    away = stack.positions - stack.positions[0]
    along = np.abs(away @ stack.normal)
    if not stack.is_regular:
        steps = np.diff(along)
        facts.append(f"The images are not evenly spaced: they are {steps.min():.1f} to {steps.max():.1f} mm apart.")
    upright = np.outer(np.linspace(0, away[-1] @ stack.normal, len(away)), stack.normal)
    aside = float(np.linalg.norm(away - upright, axis=1).max())
    return (
        Note(
            f"{' '.join(facts)} The answer was computed and measured on an upright, even grid resampled from them,"
            " and laid back on each image at its own position."
        ),
        Note(
            "Programs that rebuild one upright grid from a segmentation, as those based on ITK or dcmqi do, show it"
            f" beside its place, by up to {aside:.1f} mm over the whole stack; shown image by image it is in place."
        ),
    )


def _resample(voxels: NDArray[np.float32], placement: Placement, fill: float) -> NDArray[np.float32]:
    """The planes of the grid, each from the one or two source planes around it."""

    @lru_cache(maxsize=2)
    def slid(n: int) -> Plane:
        return slide(voxels[n], placement.rests[n])

    made = np.full(placement.shape, fill, np.float32)
    places = _settled_places(placement)
    for image, place in zip(made, places, strict=True):
        below = min(int(place), len(voxels) - 2)
        weight = np.float32(place - below)
        if weight < 1:
            image[placement.window(below)] = slid(below)
        if weight > 0:
            _blend(image, slid(below + 1), weight, placement, below)
    return made


def _settled_places(placement: Placement) -> NDArray[np.float64]:
    """For each plane of the grid its place among the source planes: 2.5 is halfway between the third and fourth."""
    return np.interp(np.arange(placement.shape[0]), placement.depths, np.arange(len(placement.depths)))


def _blend(image: Plane, upper: Plane, weight: np.float32, placement: Placement, below: int) -> None:
    """Adds the upper neighbor to `image` that holds the lower one. Where only one of them reaches, it alone counts."""
    window = placement.window(below + 1)
    if weight == 1:
        image[window] = upper
        return
    low, high = placement.corners[below : below + 2]
    start, end = np.maximum(low, high), np.minimum(low, high) + placement.size
    shared = tuple(slice(int(a), max(int(a), int(b))) for a, b in zip(start, end, strict=True))
    both = (1 - weight) * image[shared]
    image[window] = upper
    image[shared] = both + weight * image[shared]
