"""A stack: the planes of a series that make one grid, in order, with the headers they came with."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset

from node.dicom.geometry import Vector, find_tilt, is_negligible
from pipelines.terms import Affine


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """One grid of one series: even and upright unless the reader asked for tilted or uneven ones too.

    headers: the source instances without pixel data, in plane order; one alone when it is multi-frame.
    paths: the files of `headers`, in the same order.
    frames: plane k -> (index into headers, frame number from 1).
    shape: (planes, rows, columns).
    affine: index vector (k, j, i, 1) -> (x, y, z, 1) in mm, LPS (PS3.3 C.7.6.2.1.1). Sheared, and exact, where the
        gantry was tilted; where planes are uneven only `positions` are exact.
    orientation: "axial", "coronal" or "sagittal" when within 20 degrees of it, else "oblique".
    others: sentences on what of the same series is not in this stack.
    offsets: mm, shape (planes, 3): how far each plane's own Image Position lies from where `affine` puts it; None
        where it is not known to lie elsewhere.
    """

    headers: tuple[Dataset, ...]
    paths: tuple[Path, ...]
    frames: tuple[tuple[int, int], ...]
    shape: tuple[int, int, int]
    affine: Affine
    orientation: str
    others: tuple[str, ...] = ()
    offsets: Vector | None = None

    @property
    def positions(self) -> Vector:
        """Image Position (Patient) of each plane, mm, shape (planes, 3)."""
        even = self.affine[:3, 3] + np.arange(self.shape[0])[:, None] * self.affine[:3, 0]
        return np.asarray(even if self.offsets is None else even + self.offsets, dtype=np.float64)

    @property
    def normal(self) -> Vector:
        """The unit vector of row x column; planes follow each other along it, or against it where they are reversed."""
        normal = np.cross(self.affine[:3, 2], self.affine[:3, 1])
        return np.asarray(normal / np.linalg.norm(normal), dtype=np.float64)

    @property
    def tilt_degrees(self) -> float:
        """Angle between the normal and the line along which the planes follow each other; 0.0 in an upright stack, and
        of one plane."""
        if self.shape[0] == 1:
            return 0.0
        towards = self.normal if self.affine[:3, 0] @ self.normal > 0 else -self.normal
        return find_tilt(self.positions, towards)

    @property
    def is_regular(self) -> bool:
        """True when `affine` says where every plane lies, tilted or not; False when they are unevenly spaced."""
        farthest = 0.0 if self.offsets is None else float(np.linalg.norm(self.offsets, axis=1).max())
        return is_negligible(farthest, self.affine[:3, 0])

    @property
    def is_upright(self) -> bool:
        """True when the planes lie evenly along their normal, so that voxels make one orthogonal grid."""
        return self.is_regular and self.tilt_degrees == 0.0

    @property
    def first(self) -> Dataset:
        """The header that speaks for the series."""
        return self.headers[0]

    @property
    def series_uid(self) -> str:
        return str(self.first.SeriesInstanceUID)

    @property
    def study_uid(self) -> str:
        return str(self.first.StudyInstanceUID)

    @property
    def modality(self) -> str:
        return str(self.first.Modality)

    @property
    def frame_of_reference_uid(self) -> str:
        return str(self.first.FrameOfReferenceUID)
