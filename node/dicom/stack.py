"""A stack: the planes of a series that make one regular grid, in order, with the headers they came with."""

from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset

from pipelines.terms import Affine


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """One regular grid of one series.

    headers: the source instances without pixel data, in plane order; one alone when it is multi-frame.
    paths: the files of `headers`, in the same order.
    frames: plane k -> (index into headers, frame number from 1).
    shape: (planes, rows, columns).
    affine: index vector (k, j, i, 1) -> (x, y, z, 1) in mm, LPS (PS3.3 C.7.6.2.1.1).
    orientation: "axial", "coronal" or "sagittal" when within 20 degrees of it, else "oblique".
    others: sentences on what of the same series is not in this stack.
    """

    headers: tuple[Dataset, ...]
    paths: tuple[Path, ...]
    frames: tuple[tuple[int, int], ...]
    shape: tuple[int, int, int]
    affine: Affine
    orientation: str
    others: tuple[str, ...] = ()

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
