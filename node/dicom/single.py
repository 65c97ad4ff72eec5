"""Single planes as stacks of one: localizers, key images, one slice that was sent alone."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from node.dicom.geometry import Plane, name_orientation, read_plane
from node.dicom.header import find_frames, find_value, read_header
from node.dicom.stack import Stack
from node.errors import InputError
from pipelines.terms import Affine

THICKNESS_MM = 1.0
"""Of a plane that does not say how thick it is."""


def read_singles(paths: Iterable[Path]) -> list[Stack]:
    """Each plane of the images at `paths` as a stack of its own; without those that do not say where they lie, or are
    in color. Raises node.errors.CannotUnderstand when a file is no DICOM dataset."""
    stacks = []
    for path in paths:
        header = read_header(path)
        if "Rows" not in header or find_value(header, "SamplesPerPixel") not in (None, 1):
            continue
        for frame in find_frames(header):
            try:
                plane = read_plane(frame)
            except InputError:
                continue
            if frame.get("FrameOfReferenceUID") and isinstance(frame.get("Modality"), str):
                affine = _make_affine(plane, frame.get("SliceThickness"))
                shape, orientation = (1, *plane.shape), name_orientation(plane.normal)
                stacks.append(Stack((header,), (path,), ((0, frame.number),), shape, affine, orientation))
    return stacks


def _make_affine(plane: Plane, thickness: object) -> Affine:
    """Index vector (k, j, i, 1) -> mm, LPS; k steps by the thickness of the plane along its normal."""
    try:
        step = abs(float(str(thickness))) or THICKNESS_MM
    except ValueError:
        step = THICKNESS_MM
    affine = np.eye(4)
    affine[:3, 0] = plane.normal * step
    affine[:3, 1] = plane.column * plane.spacing[0]
    affine[:3, 2] = plane.row * plane.spacing[1]
    affine[:3, 3] = plane.position
    return affine
