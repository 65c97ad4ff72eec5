"""Functional groups that images derived from a stack have in common (PS3.3 C.7.6.16.2): where, and from which frame.

Geometry comes from the stack's affine, not from the source's words: a source may say a spacing or an orientation that
its own positions belie.
"""

import numpy as np
from pydicom import Dataset
from pydicom.valuerep import DSfloat

from node.dicom.codes import SOURCE_IMAGE, to_concept
from node.dicom.context import add_examined, copy_valid
from node.dicom.header import count_frames
from node.dicom.stack import Stack
from node.errors import EncodingError
from node.model.order import Order
from pipelines.terms import Code


def shared_geometry(stack: Stack) -> Dataset:
    """An item with Pixel Measures and Plane Orientation (PS3.3 C.7.6.16.2.1, .4) that hold for all planes of `stack`:
    unit cosines, and the planes' distance along their normal."""
    row_step, column_step = stack.affine[:3, 1], stack.affine[:3, 2]
    row_spacing, column_spacing = float(np.linalg.norm(row_step)), float(np.linalg.norm(column_step))
    cosines = [*(column_step / column_spacing), *(row_step / row_spacing)]
    normal = np.cross(column_step, row_step)
    distance = abs(float(np.dot(stack.affine[:3, 0], normal / np.linalg.norm(normal))))
    measures = make_item(
        SliceThickness=to_ds(_slice_thickness(stack) or distance),
        SpacingBetweenSlices=to_ds(distance),
        PixelSpacing=[to_ds(row_spacing), to_ds(column_spacing)],
    )
    orientation = make_item(ImageOrientationPatient=[to_ds(round(float(cosine), 12)) for cosine in cosines])
    return make_item(PixelMeasuresSequence=[measures], PlaneOrientationSequence=[orientation])


def _slice_thickness(stack: Stack) -> float | None:
    """Slice Thickness of the source in mm, when it has one that can be true."""
    index, number = stack.frames[0]
    places = [stack.headers[index]]
    groups = stack.headers[index].get("PerFrameFunctionalGroupsSequence")
    shared = stack.headers[index].get("SharedFunctionalGroupsSequence")
    for group in ([groups[number - 1]] if groups else []) + list(shared or []):
        places += list(group.get("PixelMeasuresSequence") or [])
    for place in places:
        value = copy_valid(place, ["SliceThickness"]).get("SliceThickness")
        if value is not None and 0 < float(value) < 1000:
            return float(value)
    return None


def derivation_item(stack: Stack, k: int, derivation: Code) -> Dataset:
    """An item of Derivation Image Sequence (PS3.3 C.7.6.16.2.6): the one source frame that plane k came from."""
    source = frame_reference(stack, k)
    source.SpatialLocationsPreserved = "YES"
    source.PurposeOfReferenceCodeSequence = [to_concept(SOURCE_IMAGE)]
    return make_item(DerivationCodeSequence=[to_concept(derivation)], SourceImageSequence=[source])


def frame_reference(stack: Stack, k: int) -> Dataset:
    """Plane k as an Image SOP Instance Reference (PS3.3 table 10-3), with its frame number where there are frames."""
    index, number = stack.frames[k]
    header = stack.headers[index]
    item = make_item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
    if is_multi_frame(header):
        item.ReferencedFrameNumber = number
    return item


def image_references(stack: Stack) -> list[Dataset]:
    """Every image of the stack; of a multi-frame image the frames that are in it."""
    images = []
    for n, header in enumerate(stack.headers):
        item = make_item(ReferencedSOPClassUID=header.SOPClassUID, ReferencedSOPInstanceUID=header.SOPInstanceUID)
        if is_multi_frame(header):
            item.ReferencedFrameNumber = sorted(number for index, number in stack.frames if index == n)
        images.append(item)
    return images


def is_multi_frame(header: Dataset) -> bool:
    """Whether references to `header` may name a frame."""
    return count_frames(header) > 1 or "PerFrameFunctionalGroupsSequence" in header


def add_place(ds: Dataset, stack: Stack, order: Order | None) -> None:
    """Frame of Reference (PS3.3 C.7.4.1) of the source, what body part it is and who asked, as far as it and the
    `order` say so.

    Raises EncodingError when the source has no frame of reference: a result would have no place.
    """
    if not stack.first.get("FrameOfReferenceUID"):
        raise EncodingError("FrameOfReferenceUID is absent in the source: a result would have no place")
    ds.FrameOfReferenceUID = stack.frame_of_reference_uid
    ds.PositionReferenceIndicator = str(stack.first.get("PositionReferenceIndicator") or "")
    add_examined(ds, stack.first, order)


def add_lossy_history(ds: Dataset, source: Dataset) -> None:
    """Lossy Image Compression "01" with ratio and method where `source` says all three, else "00": an image made from
    lossy ones is lossy for good (PS3.3 C.7.6.1.1.5)."""
    lossy = copy_valid(source, ["LossyImageCompression", "LossyImageCompressionRatio", "LossyImageCompressionMethod"])
    ds.LossyImageCompression = "00"
    if lossy.get("LossyImageCompression") == "01" and len(lossy) == 3:
        ds.update(lossy)


def to_ds(value: float) -> DSfloat:
    """A decimal string of at most 16 characters (PS3.5 6.2)."""
    return DSfloat(value + 0.0, auto_format=True)


def make_item(**attributes: object) -> Dataset:
    """An item of a sequence with these attributes."""
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    return item
