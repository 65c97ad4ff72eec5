"""RT Structure Sets (PS3.3 A.19): every region is described, drawn and observed once, and its contours lie in the
planes of the images that they name.

Contours come as bytes (node.dicom.structure_set) and are looked at as they lie: a million coordinates as objects would
take minutes. Contours that are objects, or hold more than usual, go through the tables one by one.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_dataset
from pydicom.tag import Tag

from node.dicom.explicit_vr import walk_elements, walk_items
from node.dicom.gate.attributes import CONTOURS, AttributeFault, Walk
from node.dicom.gate.derived import POSITION_TOLERANCE_MM, find_place
from node.dicom.gate.iod_tables import Table, get_iod
from node.dicom.gate.references import Known, check_frame_of_reference, check_reference

IMAGES, KIND, COUNT, NUMBER, DATA = (
    Tag(keyword).real
    for keyword in (
        "ContourImageSequence", "ContourGeometricType", "NumberOfContourPoints", "ContourNumber", "ContourData",
    )
)  # fmt: skip
USUAL = (IMAGES, KIND, COUNT, NUMBER, DATA)
LONGEST_DS = 16

Plane = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(slots=True, eq=False)
class _Contours:
    """planes: bytes of Contour Image Sequence and Contour Geometric Type -> a point of that image, and its normal."""

    walk: Walk
    table: Table
    known: Known
    planes: dict[tuple[bytes, bytes], Plane] = field(default_factory=dict)

    def check(self, contour: bytes | Dataset) -> None:
        """Raise AttributeFault unless a contour is sound."""
        elements = dict(walk_elements(contour)) if isinstance(contour, bytes) else {}
        key = elements.get(IMAGES, b""), elements.get(KIND, b"")
        if tuple(elements) == USUAL and key in self.planes:
            points = _parse_numbers(elements[DATA])
            _check_count(points, _parse_numbers(elements[COUNT]), elements[KIND].strip().decode("ascii"))
            self._check_plane(points, self.planes[key])
            return
        item = contour
        if isinstance(item, bytes):
            item = read_dataset(BytesIO(item), False, True, bytelength=len(item))
        self.walk.check_item(item, self.table)
        points = np.array(item.ContourData, float)
        _check_count(points, np.array([float(item.NumberOfContourPoints)]), str(item.ContourGeometricType))
        plane = self._find_plane(item)
        self._check_plane(points, plane)
        if elements:
            self.planes[key] = plane

    def _find_plane(self, item: Dataset) -> Plane:
        images = item.get("ContourImageSequence") or []
        if len(images) != 1 or str(images[0].ReferencedSOPInstanceUID) not in self.known.sources:
            raise AttributeFault("ContourImageSequence", "of a contour is not one source instance")
        header = check_reference(images[0], self.known)
        position, cosines, _ = find_place(header, int(images[0].get("ReferencedFrameNumber") or 1))
        return position, np.cross(cosines[:3], cosines[3:])

    def _check_plane(self, points: NDArray[np.float64], plane: Plane) -> None:
        position, normal = plane
        if not float(np.abs((points.reshape(-1, 3) - position) @ normal).max()) <= POSITION_TOLERANCE_MM:
            raise AttributeFault("ContourData", "does not lie in the plane of its image")


def check_structures(ds: Dataset, walk: Walk, known: Known) -> None:
    """Raise AttributeFault unless the regions of `ds` are complete and lie on the source."""
    for frame in ds.ReferencedFrameOfReferenceSequence:
        check_frame_of_reference(frame.FrameOfReferenceUID, known, "FrameOfReferenceUID")
    numbers = [int(item.ROINumber) for item in ds.StructureSetROISequence]
    if len(set(numbers)) != len(numbers):
        raise AttributeFault("ROINumber", "is given twice")
    for item in ds.StructureSetROISequence:
        check_frame_of_reference(item.ReferencedFrameOfReferenceUID, known, "ReferencedFrameOfReferenceUID")
    for keyword in ("ROIContourSequence", "RTROIObservationsSequence"):
        if sorted(int(item.ReferencedROINumber) for item in ds.get(keyword) or []) != sorted(numbers):
            raise AttributeFault(f"{keyword}.ReferencedROINumber", "is not each region once")
    rule = get_iod(str(ds.SOPClassUID)).whole.rules[Tag("ROIContourSequence").real]
    table = rule.items.rules[CONTOURS].items if rule.items is not None else None
    assert table is not None, "the tables hold contours"
    contours = _Contours(walk, table, known)
    for roi in ds.ROIContourSequence:
        for n, contour in enumerate(_list_contours(roi), 1):
            try:
                contours.check(contour)
            except AttributeFault as fault:
                fault.place.insert(0, f"ContourSequence[{n}]")
                raise


def _list_contours(roi: Dataset) -> Iterable[bytes | Dataset]:
    found = roi.get_item(CONTOURS)
    if isinstance(found, RawDataElement) and found.value and found.is_little_endian and not found.is_implicit_VR:
        return walk_items(found.value)
    return roi.get("ContourSequence") or []


def _parse_numbers(value: bytes) -> NDArray[np.float64]:
    """Decimal or integer strings; each of at most 16 characters and finite."""
    texts = value.rstrip(b" ").split(b"\\")
    try:
        numbers = np.array(texts, np.float64)
    except ValueError:
        numbers = np.array([np.nan])
    if not np.isfinite(numbers).all() or max(map(len, texts)) > LONGEST_DS:
        raise AttributeFault("ContourData", "holds what is no DS")
    return numbers


def _check_count(points: NDArray[np.float64], announced: NDArray[np.float64], kind: str) -> None:
    if len(announced) != 1 or len(points) != 3 * announced[0]:
        raise AttributeFault("NumberOfContourPoints", "is not that of the Contour Data")
    if kind == "CLOSED_PLANAR" and len(points) < 9:
        raise AttributeFault("ContourData", "has too few points to be closed")
