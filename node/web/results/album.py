"""The source images of a result in the order in which they lie, and what was segmented on each.

A slice is a source frame as it is stored: nothing is turned or resampled, so a mask lies on exactly its pixels.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from node.dicom.geometry import Plane, find_depths, name_orientation, read_plane
from node.dicom.header import Frame, count_frames, find_frames, find_value, is_numbered_backward, read_header
from node.dicom.sheet import name_side
from node.dicom.stack import Stack
from node.dicom.volume import load_volume
from node.errors import CannotUnderstand, UnevenGeometry
from node.web.results.masks import Masks, Place
from pipelines.terms import Affine

HEADER_BYTES, FRAME_BYTES = 60_000, 4000
"""What a parsed header, and each frame of a multi-frame one, takes in memory, about."""


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """A source frame. segmented: indices of the Segmentation's frames that lie on it."""

    path: Path
    frame: Frame
    plane: Plane
    segmented: tuple[int, ...] = ()

    @property
    def place(self) -> Place:
        return str(self.frame.header.SOPInstanceUID), self.frame.number

    @property
    def caption(self) -> str:
        """The source as a reader finds it: "image 57" by Instance Number, "frame 3" of a multi-frame image."""
        if count_frames(self.frame.header) > 1:
            return f"frame {self.frame.number}"
        shown = find_value(self.frame.header, "InstanceNumber")
        return f"image {shown}" if shown is not None else ""

    @property
    def sides(self) -> tuple[str, str, str, str]:
        """Letters of the left, right, top and bottom edge of the picture (PS3.3 C.7.6.1.1.1)."""
        row, column = self.plane.row, self.plane.column
        return name_side(-row), name_side(row), name_side(-column), name_side(column)

    @property
    def affine(self) -> Affine:
        """Index (0, j, i, 1) -> (x, y, z, 1) in mm; the step along k is the normal."""
        affine = np.eye(4)
        affine[:3, 0] = self.plane.normal
        affine[:3, 1] = self.plane.column * self.plane.spacing[0]
        affine[:3, 2] = self.plane.row * self.plane.spacing[1]
        affine[:3, 3] = self.plane.position
        return affine

    def read_values(self) -> NDArray[np.float32]:
        """(rows, columns) in the unit of the modality, as `load_volume` reads them. Raises as it does; OSError."""
        stack = Stack(
            headers=(self.frame.header,),
            paths=(self.path,),
            frames=((0, self.frame.number),),
            shape=(1, *self.plane.shape),
            affine=self.affine,
            orientation=name_orientation(self.plane.normal),
        )
        plane: NDArray[np.float32] = load_volume(stack).voxels[0]
        return plane


@dataclass(frozen=True, slots=True, eq=False)
class Album:
    """slices: of one size, along their normal, in the direction in which their images are numbered. missing: source
    images that are no longer in the spool."""

    slices: tuple[Slice, ...]
    masks: Masks | None
    missing: int

    @property
    def modality(self) -> str:
        return str(self.slices[0].frame.get("Modality") or "")

    @property
    def orientation(self) -> str:
        return name_orientation(self.slices[0].plane.normal)

    @property
    def touched(self) -> NDArray[np.bool_]:
        """For each slice whether anything is segmented on it."""
        return np.array([bool(one.segmented) for one in self.slices])

    def find(self, uid: str, frame: int | None) -> int | None:
        """The slice (from 0) of a source frame."""
        wanted = (uid, frame or 1)
        return next((k for k, one in enumerate(self.slices) if one.place == wanted), None)

    def weigh(self) -> int:
        """Bytes in memory, about."""
        headers = len({one.place[0] for one in self.slices})
        own = HEADER_BYTES * headers + FRAME_BYTES * len(self.slices)
        return own + (self.masks.weigh() if self.masks else 0)


def make_album(sources: Mapping[str, Sequence[int]], paths: Mapping[str, Path], masks: Masks | None) -> Album:
    """The source images `sources` (SOP Instance UID -> numbers of its frames, none for all) that lie at `paths`.

    Frames that do not say where they lie, or have another size than most, are left out. Without any the album is empty.
    """
    found, missing = [], 0
    for uid, numbers in sources.items():
        header = _read(paths.get(uid))
        if header is None:
            missing += 1
        else:
            found += list(_make_slices(paths[uid], header, numbers, masks))
    sizes = Counter(one.plane.shape for one in found)
    usual = masks.shape if masks else max(sizes, key=lambda size: sizes[size], default=None)
    return Album(tuple(_put_in_order([one for one in found if one.plane.shape == usual])), masks, missing)


def _read(path: Path | None) -> Dataset | None:
    try:
        return read_header(path) if path is not None else None
    except (FileNotFoundError, CannotUnderstand):
        return None


def _make_slices(path: Path, header: Dataset, numbers: Sequence[int], masks: Masks | None) -> Iterable[Slice]:
    for frame in find_frames(header, numbers or None):
        try:
            plane = read_plane(frame)
        except UnevenGeometry:
            continue
        place = str(header.SOPInstanceUID), frame.number
        yield Slice(path, frame, plane, tuple(masks.find_frames(place, plane.position)) if masks else ())


def _put_in_order(slices: list[Slice]) -> list[Slice]:
    if not slices:
        return []
    depths = find_depths([one.plane for one in slices])
    ordered = [slices[n] for n in np.argsort(depths, kind="stable")]
    return ordered[::-1] if is_numbered_backward(ordered[0].frame.header, ordered[-1].frame.header) else ordered
