"""Which values are black and which white: presets for CT, else by what the images themselves hold."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from node.dicom.overlay import Mask
from node.dicom.sheet import choose_window, spread_planes
from node.web.dicomweb.problem import Problem
from node.web.results.album import Album
from pipelines.terms import Volume

Limits = tuple[float, float]
"""The value that is black, and the one that is white."""

AUTO = "auto"
PRESETS: dict[str, Limits] = {
    "lung": (-600.0, 1500.0),
    "soft": (40.0, 400.0),
    "bone": (480.0, 2500.0),
    "brain": (40.0, 80.0),
}
"""Center and width in HU."""
NAMES = {AUTO: "Auto", "lung": "Lung", "soft": "Soft tissue", "bone": "Bone", "brain": "Brain"}

SAMPLED = 7
"""Slices of which the automatic window is made."""

Values = Callable[[int], NDArray[np.float32]]
"""Slice (from 0) -> its values."""


def list_windows(modality: str) -> list[str]:
    """Names of the windows that there are for `modality`: Hounsfield units alone mean the same on every scanner."""
    return [AUTO, *PRESETS] if modality == "CT" else [AUTO]


def find_limits(name: str, album: Album, auto: Callable[[], Limits]) -> Limits:
    """Limits of the window `name`, or of "center,width". Raises Problem 400."""
    if name == AUTO:
        return auto()
    if name in list_windows(album.modality):
        center, width = PRESETS[name]
        return center - width / 2, center + width / 2
    try:
        center, width = (float(part) for part in name.split(","))
    except ValueError:
        raise Problem(400, f"window is one of {', '.join(list_windows(album.modality))}, or center,width") from None
    if not np.isfinite([center, width]).all() or width <= 0:
        raise Problem(400, "window has a center and a positive width")
    return center - width / 2, center + width / 2


def choose_limits(album: Album, read: Values) -> Limits:
    """What shows best what was found, from some slices; the image's own window where nothing was."""
    if not album.touched.any() and (own := _find_own(album)):
        return own
    planes = spread_planes(album.touched, SAMPLED)
    volume = gather(album, planes, read)
    return choose_window(volume, _find_seen(album, planes, volume))


def gather(album: Album, planes: Sequence[int], read: Values) -> Volume:
    """The slices `planes` as a volume of their own, on the grid of the first."""
    first = album.slices[planes[0]]
    frame_of_reference = str(first.frame.get("FrameOfReferenceUID") or "")
    return Volume(np.stack([read(k) for k in planes]), first.affine, frame_of_reference, album.modality)


def _find_seen(album: Album, planes: Sequence[int], volume: Volume) -> list[tuple[NDArray[np.float32], Mask]]:
    if album.masks is None:
        return []
    read = [(n, album.masks.read(album.slices[k].segmented)) for n, k in enumerate(planes)]
    return [(volume.voxels[n], mask) for n, parts in read for _, mask in parts]


def _find_own(album: Album) -> Limits | None:
    frame = album.slices[len(album.slices) // 2].frame
    try:
        center, width = (
            float(np.atleast_1d(np.array(frame.get(word), np.float64))[0]) for word in ("WindowCenter", "WindowWidth")
        )
    except (TypeError, ValueError, IndexError):
        return None
    return (center - width / 2, center + width / 2) if np.isfinite(center) and width > 0 else None
