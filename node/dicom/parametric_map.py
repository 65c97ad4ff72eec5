"""A result's maps as Parametric Map objects with Float Pixel Data, one a map (PS3.3 A.75, C.8.32).

A map is written as it is: stored values are the real world values, so that no reader has to know more than IEEE 754.
The floats are copied once, into a buffer that is written piece by piece; pydicom would copy a plain value twice more.
"""

import io

import numpy as np
from pydicom import DataElement, Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ParametricMapStorage

from node.dicom.anatomy import frame_anatomy
from node.dicom.authorship import Authorship
from node.dicom.codes import ARTIFICIAL_INTELLIGENCE, to_concept
from node.dicom.context import copy_valid, new_object, reference_series
from node.dicom.functional_groups import (
    add_lossy_history,
    add_place,
    derivation_item,
    make_item,
    shared_geometry,
    to_ds,
)
from node.dicom.segmentation import plane_positions
from node.dicom.stack import Stack
from node.dicom.succession import reference_predecessors
from node.errors import EncodingError
from pipelines.terms import Code, Result, ScalarMap

QUANTITY = Code("246205007", "SCT", "Quantity")  # CID 9000

IMAGE_TYPE = ["DERIVED", "PRIMARY", "VOLUME", "QUANTITY"]
"""PS3.3 C.8.32.2: Image Flavor VOLUME, Derived Pixel Contrast QUANTITY (C.8.16.1.4)."""


def encode_parametric_maps(
    stack: Stack, result: Result, author: Authorship, *, series_number: int = 7007
) -> list[Dataset]:
    """Each map of `result` as a Parametric Map in a series of its own, with a frame for every plane of the stack.

    Maps lie on the stack's grid: plane k is the source frame stack.frames[k]. Modality is the source's (C.8.32.1).
    Raises EncodingError when a map's shape is not the stack's, when it is not float32, holds a value that is not
    finite or none at all, or when the source has no frame of reference or lies elsewhere than the stack says.
    """
    return [_encode(stack, scalars, author, series_number) for scalars in result.maps]


def _encode(stack: Stack, scalars: ScalarMap, author: Authorship, series_number: int) -> Dataset:
    lowest, highest = _find_range(stack, scalars)
    positions = plane_positions(stack)
    part = f"map {scalars.key}"
    ds = new_object(
        stack.first, author, ParametricMapStorage, stack.modality, part, series_number,
        f"AI, not reviewed: {scalars.label}",
    )  # fmt: skip
    add_place(ds, stack, author.order)
    _add_image(ds, stack, scalars)
    _add_dimensions(ds, author.uid(part, "dimensions"))
    ds.ReferencedSeriesSequence = [
        *reference_series(stack.headers, "ReferencedInstanceSequence"),
        *reference_predecessors(author.find_predecessors(part, ParametricMapStorage, stack.modality)),
    ]
    ds.SharedFunctionalGroupsSequence = [_shared_groups(stack, scalars, lowest, highest)]
    ds.PerFrameFunctionalGroupsSequence = _frame_groups(stack, positions, author)
    ds.NumberOfFrames = stack.shape[0]
    floats = np.ascontiguousarray(scalars.values, dtype="<f4")
    ds.add(DataElement("FloatPixelData", "OF", io.BytesIO(floats.tobytes())))
    return ds


def _find_range(stack: Stack, scalars: ScalarMap) -> tuple[float, float]:
    """Lowest and highest value; what stands for none does not count."""
    if scalars.values.shape != stack.shape:
        raise EncodingError(f"map {scalars.key!r} has shape {scalars.values.shape}, its stack {stack.shape}")
    if scalars.values.dtype != np.float32:
        raise EncodingError(f"map {scalars.key!r} is {scalars.values.dtype}, not float32")
    lowest, highest = scalars.find_range()
    if not np.isfinite([lowest, highest]).all():
        raise EncodingError(f"map {scalars.key!r} holds values that are not finite")
    return lowest, highest


def _add_image(ds: Dataset, stack: Stack, scalars: ScalarMap) -> None:
    """Floating Point Image Pixel (PS3.3 C.7.6.24), with what stands for no value as its padding, Parametric Map Image
    (C.8.32.2) and Acquisition Context."""
    _, ds.Rows, ds.Columns = stack.shape
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.BitsAllocated = 1, "MONOCHROME2", 32
    if scalars.nothing is not None:
        ds.FloatPixelPaddingValue = ds.FloatPixelPaddingRangeLimit = float(np.float32(scalars.nothing))
    ds.ImageType = IMAGE_TYPE
    ds.PixelPresentation, ds.PresentationLUTShape = "MONOCHROME", "IDENTITY"
    ds.ContentQualification = "RESEARCH"  # a person has not approved it, and Enumerated Values have no better word
    ds.BurnedInAnnotation = "NO"
    features = copy_valid(stack.first, ["RecognizableVisualFeatures"]).get("RecognizableVisualFeatures")
    ds.RecognizableVisualFeatures = "NO" if features == "NO" else "YES"  # a map of a head may show a face
    ds.ContentLabel, ds.ContentDescription, ds.ContentCreatorName = "AI_MAP", scalars.label[:64], ""
    ds.AcquisitionContextSequence = []
    add_lossy_history(ds, stack.first)


def _add_dimensions(ds: Dataset, organization: str) -> None:
    """Frames are indexed by their place along the normal (PS3.3 C.7.6.17)."""
    ds.DimensionOrganizationSequence = [make_item(DimensionOrganizationUID=organization)]
    ds.DimensionOrganizationType = "3D"
    index = make_item(
        DimensionOrganizationUID=organization, DimensionDescriptionLabel="Image Position Patient",
        DimensionIndexPointer=0x00200032, FunctionalGroupPointer=0x00209113,
    )  # fmt: skip
    ds.DimensionIndexSequence = [index]


def _shared_groups(stack: Stack, scalars: ScalarMap, lowest: float, highest: float) -> Dataset:
    """Geometry, what the values are, and a window that shows them all."""
    shared = shared_geometry(stack)
    shared.FrameAnatomySequence = [frame_anatomy(stack.first)]
    shared.ParametricMapFrameTypeSequence = [make_item(FrameType=IMAGE_TYPE)]
    shared.PixelValueTransformationSequence = [
        make_item(RescaleIntercept=to_ds(0), RescaleSlope=to_ds(1), RescaleType="US")
    ]
    shared.FrameVOILUTSequence = [_window(lowest, highest)]
    shared.RealWorldValueMappingSequence = [_mapping(scalars, lowest, highest)]
    return shared


def _window(lowest: float, highest: float) -> Dataset:
    """All values from black to white. LINEAR would demand a width of more than 1 (PS3.3 C.11.2.1.2.1), which is all
    that a probability has; LINEAR_EXACT (C.11.2.1.3.2) takes any."""
    width = highest - lowest or 1.0
    return make_item(
        WindowCenter=to_ds((lowest + highest) / 2), WindowWidth=to_ds(width * (1 + 1e-8)), VOILUTFunction="LINEAR_EXACT"
    )


def _mapping(scalars: ScalarMap, lowest: float, highest: float) -> Dataset:
    """Real World Value Mapping (PS3.3 C.7.6.16.2.11): values as stored, of this quantity in this unit."""
    quantity = make_item(
        ValueType="CODE",
        ConceptNameCodeSequence=[to_concept(QUANTITY)],
        ConceptCodeSequence=[to_concept(scalars.quantity)],
    )
    return make_item(
        LUTLabel=scalars.key[:16],
        LUTExplanation=scalars.label[:64],
        RealWorldValueSlope=1.0,
        RealWorldValueIntercept=0.0,
        DoubleFloatRealWorldValueFirstValueMapped=lowest,
        DoubleFloatRealWorldValueLastValueMapped=highest,
        MeasurementUnitsCodeSequence=[to_concept(scalars.unit)],
        QuantityDefinitionSequence=[quantity],
    )


def _frame_groups(stack: Stack, positions: list[list[float]], author: Authorship) -> Items:
    """Per-frame functional groups: frame n is plane n - 1, whichever way the stack runs."""
    manifest = author.manifest
    said = f"AI output of {manifest.name} {manifest.version}, not reviewed. {manifest.intended_use}."
    said = f"{said} Not for: {manifest.not_for}."[:1024]
    normal = np.cross(stack.affine[:3, 2], stack.affine[:3, 1])
    ranks = np.argsort(np.argsort(np.array(positions) @ normal)) + 1
    groups = []
    for k, position in enumerate(positions):
        derivation = derivation_item(stack, k, ARTIFICIAL_INTELLIGENCE)
        derivation.DerivationDescription = said
        groups.append(
            make_item(
                DerivationImageSequence=[derivation],
                FrameContentSequence=[make_item(DimensionIndexValues=int(ranks[k]))],
                PlanePositionSequence=[make_item(ImagePositionPatient=[to_ds(v) for v in position])],
            )
        )
    return Items(groups)
