"""Spatial Registrations (PS3.3 A.39): rigid motions that are, between the frames of reference of the images that they
name; fields as large as announced; and every image listed under its own series and study."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.uid import UID

from node.dicom.gate.attributes import AttributeFault
from node.dicom.gate.references import Known, check_frame_of_reference, list_instances
from node.dicom.header import find_value

RIGID, DEFORMABLE = UID("1.2.840.10008.5.1.4.1.1.66.1"), UID("1.2.840.10008.5.1.4.1.1.66.3")
REGISTRATIONS = {RIGID, DEFORMABLE}

ORTHONORMAL = 1e-6
OTHERS = "StudiesContainingOtherReferencedInstancesSequence"
MATRIX = "FrameOfReferenceTransformationMatrix"


def check_registration(ds: Dataset, known: Known) -> None:
    """Raise AttributeFault unless `ds` lays images of another frame of reference on the source's."""
    check_frame_of_reference(ds.get("FrameOfReferenceUID"), known, "FrameOfReferenceUID")
    keyword = "SourceFrameOfReferenceUID" if ds.SOPClassUID == DEFORMABLE else "FrameOfReferenceUID"
    items = ds.DeformableRegistrationSequence if ds.SOPClassUID == DEFORMABLE else ds.RegistrationSequence
    own = str(ds.FrameOfReferenceUID)
    frames = [str(item.get(keyword, "")) for item in items]
    if len(set(frames)) != len(frames) or own not in frames or len(frames) < 2:
        raise AttributeFault(keyword, "of the registrations is not this study's and another's, each once")
    named: set[str] = set()
    for item, frame in zip(items, frames, strict=True):
        named |= _check_images(item, frame, keyword, known)
        for matrix in _find_matrices(item):
            _check_matrix(matrix, still=frame == own)
        for grid in item.get("DeformableRegistrationGridSequence") or []:
            _check_grid(grid, still=frame == own)
    _check_listed(ds, named, known)
    said = str(ds.get("ContentDescription") or "").lower()
    if "ai" not in said.split() or "not for" not in said:
        raise AttributeFault("ContentDescription", "of the caution, what the result is not for, is absent")


def _check_images(item: Dataset, frame: str, keyword: str, known: Known) -> set[str]:
    """The instances that an item names; they lie in its frame of reference."""
    uids = {str(image.ReferencedSOPInstanceUID) for image in item.get("ReferencedImageSequence") or []}
    if not uids:
        raise AttributeFault("ReferencedImageSequence", "of a registration names no image")
    for uid in uids:
        header = known.sources.get(uid, known.others.get(uid))
        if header is None:
            raise AttributeFault("ReferencedSOPInstanceUID", "names an instance that does not exist")
        if str(find_value(header, "FrameOfReferenceUID")) != frame:
            raise AttributeFault(keyword, "of a registration is not that of its images")
    return uids


def _find_matrices(item: Dataset) -> Iterator[Dataset]:
    for registration in item.get("MatrixRegistrationSequence") or []:
        yield from registration.MatrixSequence
    for keyword in ("PreDeformationMatrixRegistrationSequence", "PostDeformationMatrixRegistrationSequence"):
        yield from item.get(keyword) or []


def _check_matrix(item: Dataset, still: bool) -> None:
    """A motion: orthonormal, not mirrored (PS3.3 C.20.2.1.2); the identity where nothing moves."""
    matrix: NDArray[np.float64] = np.array(item[MATRIX].value, np.float64).reshape(4, 4)
    turn = matrix[:3, :3]
    rigid = np.abs(turn @ turn.T - np.eye(3)).max() <= ORTHONORMAL and np.linalg.det(turn) > 0
    if item.FrameOfReferenceTransformationMatrixType != "RIGID" or not rigid or matrix[3].tolist() != [0, 0, 0, 1]:
        raise AttributeFault(MATRIX, "is no rigid motion")
    if still and not np.array_equal(matrix, np.eye(4)):
        raise AttributeFault(MATRIX, "moves the registered frame of reference itself")


def _check_grid(grid: Dataset, still: bool) -> None:
    """Vectors are finite and as many as the grid has voxels (PS3.3 C.20.3.1.3), on perpendicular unit axes."""
    dimensions, resolution = list(grid.GridDimensions), np.array(grid.GridResolution, np.float64)
    if still:
        raise AttributeFault("DeformableRegistrationGridSequence", "bends the registered frame of reference itself")
    if len(dimensions) != 3 or min(dimensions) < 2 or len(resolution) != 3 or not (resolution > 0).all():
        raise AttributeFault("GridDimensions", "or Grid Resolution is no grid in space")
    if len(grid.VectorGridData) != 12 * int(np.prod(dimensions)):
        raise AttributeFault("VectorGridData", "has not a vector for each voxel of the grid")
    if not np.isfinite(np.frombuffer(grid.VectorGridData, "<f4")).all():
        raise AttributeFault("VectorGridData", "holds what is no finite number")
    cosines = np.array(grid.ImageOrientationPatient, np.float64).reshape(2, 3)
    if np.abs(cosines @ cosines.T - np.eye(2)).max() > ORTHONORMAL:
        raise AttributeFault("ImageOrientationPatient", "of the grid is not two perpendicular unit vectors")


def _check_listed(ds: Dataset, named: set[str], known: Known) -> None:
    """The Common Instance Reference (PS3.3 C.12.2) lists what is named, once, under its series and study."""
    study = str(known.first.StudyInstanceUID)
    listed = [(study, *pair) for pair in list_instances(ds)]
    for other in ds.get(OTHERS) or []:
        if str(other.StudyInstanceUID) == study:
            raise AttributeFault(OTHERS, "lists the source's own study")
        listed += [(str(other.StudyInstanceUID), *pair) for pair in list_instances(other)]
    uids = [str(item.ReferencedSOPInstanceUID) for _, _, item in listed]
    if sorted(uids) != sorted(named):
        raise AttributeFault("ReferencedInstanceSequence", "does not list the images that are named, each once")
    for of_study, series, item in listed:
        header = known.find(str(item.ReferencedSOPInstanceUID))
        if header is None or (of_study, str(series.SeriesInstanceUID)) != (
            str(find_value(header, "StudyInstanceUID")), str(find_value(header, "SeriesInstanceUID"))
        ):  # fmt: skip
            raise AttributeFault("ReferencedSeriesSequence", "lists an image under another series or study")
