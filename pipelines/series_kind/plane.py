"""How the planes of a volume lie in the patient."""

import numpy as np
from numpy.typing import NDArray

from pipelines.series_kind.concepts import PLANES
from pipelines.terms import Code, Volume

WITHIN_DEGREES = 20.0
"""Planes are axial, coronal or sagittal within it."""


def find_plane(volume: Volume) -> Code | None:
    """How the planes of `volume` lie; None when obliquely."""
    cosines = _find_cosines(volume)
    return PLANES[int(cosines.argmax())] if cosines.max() >= np.cos(np.radians(WITHIN_DEGREES)) else None


def measure_tilt(volume: Volume) -> float:
    """Degrees between the normal of the planes of `volume` and the nearest axis of LPS."""
    return float(np.degrees(np.arccos(min(float(_find_cosines(volume).max()), 1.0))))


def _find_cosines(volume: Volume) -> NDArray[np.float64]:
    normal = np.cross(volume.affine[:3, 2], volume.affine[:3, 1])
    return np.asarray(np.abs(normal / np.linalg.norm(normal)))
