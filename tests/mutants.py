"""Faults put into good objects: what a judge must catch to be worth asking. None of them could come from an encoder of
ours without a judge of our own (node/dicom/output_gate.py) or a test seeing it; here it is the others' turn."""

import copy
from collections.abc import Callable, Iterator
from pathlib import Path

from pydicom import DataElement, Dataset, config

from tests.corpus import Exhibit, write_exhibit

FOREIGN = "1.2.3.4.5.6.7.8.9"


def make_mutants(exhibits: list[Exhibit], folder: Path) -> list[Exhibit]:
    """Each fault in the object of its kind of the plain case, on disk below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = {exhibit.kind: exhibit for exhibit in exhibits if exhibit.case.name == "plain"}
    made = []
    for number, (name, (kind, spoil)) in enumerate(MUTANTS.items()):
        if kind in plain:
            dataset = copy.deepcopy(plain[kind].dataset)
            spoil(dataset)
            path = folder / f"{number:03d}.dcm"
            made.append(write_exhibit(Exhibit(plain[kind].case, kind, path, dataset, name)))
    return made


def walk(item: Dataset) -> Iterator[Dataset]:
    """Every content item below `item`."""
    for child in item.get("ContentSequence") or []:
        yield child
        yield from walk(child)


def find_items(ds: Dataset, concept: str) -> list[Dataset]:
    """The content items with this concept name, by its Code Value."""
    found = [item for item in walk(ds) if "ConceptNameCodeSequence" in item]
    found = [item for item in found if item.ConceptNameCodeSequence[0].CodeValue == concept]
    assert found, f"no content item has the concept {concept}"
    return found


def drop_items(ds: Dataset, concept: str) -> None:
    """Takes every content item with this concept name out."""
    find_items(ds, concept)
    for item in [ds, *walk(ds)]:
        if item.get("ContentSequence"):
            kept = [c for c in item.ContentSequence if c.ConceptNameCodeSequence[0].CodeValue != concept]
            if len(kept) < len(item.ContentSequence):
                item["ContentSequence"].value.clear()
                item["ContentSequence"].value.extend(kept)


def drop(keyword: str) -> Callable[[Dataset], None]:
    return lambda ds: ds.__delattr__(keyword)


def put(keyword: str, value: object) -> Callable[[Dataset], None]:
    return lambda ds: setattr(ds, keyword, value)


def put_raw(keyword: str, value: str) -> Callable[[Dataset], None]:
    """A value that pydicom would not write by itself."""

    def spoil(ds: Dataset) -> None:
        ds[keyword] = DataElement(keyword, ds[keyword].VR, value, validation_mode=config.IGNORE)

    return spoil


def put_code(concept: str, value: str) -> Callable[[Dataset], None]:
    """Another Code Value in the value of the items with this concept."""

    def spoil(ds: Dataset) -> None:
        for item in find_items(ds, concept):
            item.ConceptCodeSequence[0].CodeValue = value

    return spoil


def _flip_voxel(ds: Dataset) -> None:
    ds.PixelData = bytes([ds.PixelData[0] ^ 1]) + ds.PixelData[1:]


def _shift_frames(ds: Dataset) -> None:
    for group in ds.PerFrameFunctionalGroupsSequence:
        position = group.PlanePositionSequence[0].ImagePositionPatient
        group.PlanePositionSequence[0].ImagePositionPatient = [float(position[0]) + 0.5, *map(float, position[1:])]


def _point_elsewhere(ds: Dataset) -> None:
    for group in ds.PerFrameFunctionalGroupsSequence:
        del group.PlanePositionSequence
        group.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = FOREIGN


def _number_of_no_segment(ds: Dataset) -> None:
    ds.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 9


def _relationship(ds: Dataset) -> None:
    for item in find_items(ds, "121071"):
        item.RelationshipType = "HAS PROPERTIES"


def _no_unit(ds: Dataset) -> None:
    for item in walk(ds):
        if item.ValueType == "NUM":
            del item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence


def _no_value(ds: Dataset) -> None:
    for item in walk(ds):
        if item.ValueType == "NUM":
            del item.MeasuredValueSequence[0].NumericValue


def _no_evidence(ds: Dataset) -> None:
    del ds.CurrentRequestedProcedureEvidenceSequence


def _root(ds: Dataset) -> None:
    ds.ContentTemplateSequence[0].TemplateIdentifier = "2000"


def _no_numbers(ds: Dataset) -> None:
    for item in [ds, *walk(ds)]:
        children = item.get("ContentSequence") or []
        for child in [child for child in children if child.ValueType == "NUM"]:
            children.remove(child)


def _no_place(ds: Dataset) -> None:
    for item in [ds, *walk(ds)]:
        children = item.get("ContentSequence") or []
        for child in [child for child in children if child.ValueType.startswith("SCOORD")]:
            children.remove(child)


def _box_elsewhere(ds: Dataset) -> None:
    for item in walk(ds):
        if item.ValueType == "SCOORD":
            item.GraphicData = [float(v) + 3 for v in item.GraphicData]


def _two_values(ds: Dataset) -> None:
    ds.SegmentSequence[0].SegmentedPropertyTypeCodeSequence.append(
        copy.deepcopy(ds.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0])
    )


def _number_of_no_segment_in_map(ds: Dataset) -> None:
    del ds.SegmentSequence[-1]


def _swap_labels(ds: Dataset) -> None:
    *_, first, second = ds.SegmentSequence
    first.SegmentLabel, second.SegmentLabel = second.SegmentLabel, first.SegmentLabel


def put_title(ds: Dataset, value: str) -> None:
    ds.ConceptNameCodeSequence[0].CodeValue = value


def _no_quantity(ds: Dataset) -> None:
    for group in [*ds.SharedFunctionalGroupsSequence, *ds.PerFrameFunctionalGroupsSequence]:
        if "RealWorldValueMappingSequence" in group:
            del group.RealWorldValueMappingSequence


def _no_contour_type(ds: Dataset) -> None:
    for region in ds.ROIContourSequence:
        for contour in region.ContourSequence:
            del contour.ContourGeometricType


MUTANTS: dict[str, tuple[str, Callable[[Dataset], None]]] = {
    "no frame of reference": ("segmentation", drop("FrameOfReferenceUID")),
    "no dimension index": ("segmentation", drop("DimensionIndexSequence")),
    "segmentation type that is none": ("segmentation", put("SegmentationType", "BITS")),
    "eight bits declared, one stored": ("segmentation", put("BitsAllocated", 8)),
    "frame of a segment that is not there": ("segmentation", _number_of_no_segment),
    "segment without a type": (
        "segmentation",
        lambda ds: ds.SegmentSequence[0].__delattr__("SegmentedPropertyTypeCodeSequence"),
    ),
    "segment of two types": ("segmentation", _two_values),
    "one frame too many declared": ("segmentation", lambda ds: put("NumberOfFrames", ds.NumberOfFrames + 1)(ds)),
    "attribute of another IOD": ("segmentation", put("KVP", "120")),
    "no pixel spacing": (
        "segmentation",
        lambda ds: ds.SharedFunctionalGroupsSequence[0].__delattr__("PixelMeasuresSequence"),
    ),
    "one voxel more": ("segmentation", _flip_voxel),
    "frames half a millimeter aside": ("segmentation", _shift_frames),
    "frames of other images": ("segmentation", _point_elsewhere),
    "verification flag that is none": ("report", put("VerificationFlag", "MAYBE")),
    "no evidence": ("report", _no_evidence),
    "no value type": ("report", lambda ds: find_items(ds, "126010")[0].__delattr__("ValueType")),
    "relationship that TID 1500 forbids": ("report", _relationship),
    "numbers without units": ("report", _no_unit),
    "measured values without a number": ("report", _no_value),
    "another root template": ("report", _root),
    "laterality out of another context group": ("report", put_code("272741003", "121071")),
    "no image library": ("report", lambda ds: drop_items(ds, "111028")),
    "no tracking uid": ("report", lambda ds: drop_items(ds, "112040")),
    "no observer": ("report", lambda ds: drop_items(ds, "121005")),
    "no procedure reported": ("report", lambda ds: drop_items(ds, "121058")),
    "no referenced segment": ("report", lambda ds: drop_items(ds, "121191")),
    "measurements left out": ("report", _no_numbers),
    "lesions without coordinates": ("report", _no_place),
    "boxes three pixels aside": ("report", _box_elsewhere),
    "annotation of no layer": ("presentation state", drop("GraphicLayerSequence")),
    "state without a displayed area": ("presentation state", drop("DisplayedAreaSelectionSequence")),
    "state of a day that is none": ("presentation state", put_raw("PresentationCreationDate", "2024-01-02")),
    "state of no image": ("presentation state", drop("ReferencedSeriesSequence")),
    "labels of each other": ("label map", _swap_labels),
    "segment without a description": ("label map", _number_of_no_segment_in_map),
    "label map of no frame of reference": ("label map", drop("FrameOfReferenceUID")),
    "key objects of another title": ("key objects", lambda ds: put_title(ds, "121071")),
    "key objects of no object": ("key objects", drop("CurrentRequestedProcedureEvidenceSequence")),
    "map without its quantity": ("parametric map", _no_quantity),
    "map without frames": ("parametric map", drop("PerFrameFunctionalGroupsSequence")),
    "capture without photometry": ("secondary capture", drop("PhotometricInterpretation")),
    "contour without a type": ("structure set", _no_contour_type),
    "no structure set label": ("structure set", drop("StructureSetLabel")),
    "PDF of another type": ("PDF", put("MIMETypeOfEncapsulatedDocument", "text/plain")),
}
"""Name -> kind of object, and what is done to it."""
