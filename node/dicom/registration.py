"""How an earlier study lies on this one, as Spatial Registration (PS3.3 A.39.1); and, where a field goes with the
motion, as Deformable Spatial Registration (A.39.2).

The Registered RCS is the frame of reference of this study: its item has the identity, that of the earlier study the
motion. A rigid matrix maps points of the item's frame of reference to it (C.20.2.1.1). A deformable item goes the other
way (C.20.3.1.1): to a point of this study the vector there is added, and the matrix after it leads to the earlier one.
"""

from collections.abc import Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID

from node.dicom.authorship import Authorship
from node.dicom.codes import to_concept
from node.dicom.context import new_object, reference_series
from node.dicom.functional_groups import add_place, image_references, make_item, to_ds
from node.dicom.laterality import add_laterality
from node.dicom.stack import Stack
from node.errors import EncodingError
from pipelines.terms import Affine, Code, Field, Registration, Result

RIGID, DEFORMABLE = UID("1.2.840.10008.5.1.4.1.1.66.1"), UID("1.2.840.10008.5.1.4.1.1.66.3")

SAME_FRAME = Code("125021", "DCM", "Frame of Reference Identity")  # CID 7100
BY_CONTENT = Code("125024", "DCM", "Image Content-based Alignment")


def encode_registrations(
    stack: Stack, priors: Sequence[Stack], result: Result, author: Authorship, *, series_number: int = 7009
) -> list[Dataset]:
    """Each registration of `result` in a series of its own: the rigid motion, and the field where there is one.

    priors: stacks of earlier studies, one of them in the frame of reference that the registration names. Raises
    EncodingError when there is none, or when both studies claim one frame of reference: then they are said to need no
    registration.
    """
    made = []
    for one in result.registrations:
        prior = next((stack for stack in priors if stack.frame_of_reference_uid == one.frame_of_reference_uid), None)
        if prior is None:
            raise EncodingError(f"registration {one.key!r} speaks of images that were not read")
        if prior.frame_of_reference_uid == stack.frame_of_reference_uid:
            raise EncodingError("the earlier study claims the frame of reference of this one")
        made.append(_encode_rigid(stack, prior, one, author, series_number))
        if one.field is not None:
            made.append(_encode_deformable(stack, prior, one, one.field, author, series_number))
    return made


def _encode_rigid(stack: Stack, prior: Stack, one: Registration, author: Authorship, series_number: int) -> Dataset:
    ds = _new(stack, prior, author, RIGID, f"registration {one.key}", series_number, f"{one.label}, rigid")
    ds.RegistrationSequence = [
        _rigid_item(stack, np.eye(4), SAME_FRAME),
        _rigid_item(prior, one.matrix, BY_CONTENT),
    ]
    return ds


def _encode_deformable(
    stack: Stack, prior: Stack, one: Registration, field: Field, author: Authorship, series_number: int
) -> Dataset:
    part = f"registration {one.key}, deformable"
    ds = _new(stack, prior, author, DEFORMABLE, part, series_number, f"{one.label}, deformable")
    moving, still = _deformable_item(prior, BY_CONTENT), _deformable_item(stack, SAME_FRAME)
    moving.DeformableRegistrationGridSequence = [_grid(field)]
    moving.PostDeformationMatrixRegistrationSequence = [_matrix(np.asarray(np.linalg.inv(one.matrix), np.float64))]
    ds.DeformableRegistrationSequence = [moving, still]
    return ds


def _new(
    stack: Stack, prior: Stack, author: Authorship, sop_class: UID, part: str, series_number: int, label: str
) -> Dataset:
    ds = new_object(stack.first, author, sop_class, "REG", part, series_number, f"AI, not reviewed: {label}")
    add_place(ds, stack, author.order)
    add_laterality(ds, stack.first)
    ds.ContentLabel, ds.ContentDescription, ds.ContentCreatorName = "AI_REGISTRATION", _caution(author), ""
    ds.ReferencedSeriesSequence = reference_series(stack.headers, "ReferencedInstanceSequence")
    listed = reference_series(prior.headers, "ReferencedInstanceSequence")
    if prior.study_uid == stack.study_uid:
        ds.ReferencedSeriesSequence.extend(listed)
    else:
        other = make_item(StudyInstanceUID=prior.study_uid, ReferencedSeriesSequence=listed)
        ds.StudiesContainingOtherReferencedInstancesSequence = [other]
    return ds


def _caution(author: Authorship) -> str:
    """Content Description has 64 characters; the report has the whole."""
    return f"AI output, not reviewed. Not for: {author.manifest.not_for}"[:64]


def _rigid_item(stack: Stack, matrix: Affine, how: Code) -> Dataset:
    """An item of Registration Sequence (PS3.3 C.20.2)."""
    registration = make_item(RegistrationTypeCodeSequence=[to_concept(how)], MatrixSequence=[_matrix(matrix)])
    return make_item(
        FrameOfReferenceUID=stack.frame_of_reference_uid,
        ReferencedImageSequence=image_references(stack),
        MatrixRegistrationSequence=[registration],
    )


def _deformable_item(stack: Stack, how: Code) -> Dataset:
    """An item of Deformable Registration Sequence (PS3.3 C.20.3), without what moves."""
    return make_item(
        SourceFrameOfReferenceUID=stack.frame_of_reference_uid,
        ReferencedImageSequence=image_references(stack),
        RegistrationTypeCodeSequence=[to_concept(how)],
    )


def _matrix(matrix: Affine) -> Dataset:
    """Row by row, in decimal strings of 16 characters: at 1 m from the origin they are exact to 1e-9 mm or so."""
    return make_item(
        FrameOfReferenceTransformationMatrixType="RIGID",
        FrameOfReferenceTransformationMatrix=[to_ds(float(value)) for value in matrix.ravel()],
    )


def _grid(field: Field) -> Dataset:
    """Deformable Registration Grid (PS3.3 C.20.3.1.2, .3): x runs fastest, as i does."""
    planes, rows, columns, _ = field.vectors.shape
    steps = field.affine[:3, 2::-1]
    sizes = np.linalg.norm(steps, axis=0)
    cosines = (steps / sizes)[:, :2].T.ravel()
    return make_item(
        ImagePositionPatient=[to_ds(float(value)) for value in field.affine[:3, 3]],
        ImageOrientationPatient=[to_ds(round(float(value), 12)) for value in cosines],
        GridDimensions=[columns, rows, planes],
        GridResolution=[float(size) for size in sizes],
        VectorGridData=np.ascontiguousarray(field.vectors, "<f4").tobytes(),
    )
