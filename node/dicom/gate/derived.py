"""Images derived from a stack, frame by frame (Segmentation, Label Map Segmentation, Parametric Map): each frame lies
where its source frame lies, the dimensions tell the frames apart, and the pixels are as many as announced."""

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.fileutil import buffer_length
from pydicom.uid import UID, ExplicitVRLittleEndian, ParametricMapStorage, SegmentationStorage

from node.dicom.gate.attributes import AttributeFault, Walk
from node.dicom.gate.frames import check_frames
from node.dicom.gate.references import Known, check_frame_of_reference
from node.dicom.header import count_frames, find_value
from node.dicom.read_frames import Frames, Source, read_frames

LABEL_MAP = UID("1.2.840.10008.5.1.4.1.1.66.7")
DERIVED = {SegmentationStorage, LABEL_MAP, ParametricMapStorage}
SEGMENTATIONS = {SegmentationStorage, LABEL_MAP}

POSITION_TOLERANCE_MM = 0.01
COSINE_TOLERANCE = 0.001
SPACING_TOLERANCE = 0.001

SEGMENT_NUMBER, POSITION = 0x0062000B, 0x00200032
FORMS = {
    "BINARY": {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "PhotometricInterpretation": "MONOCHROME2"},
    "FRACTIONAL": {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "PhotometricInterpretation": "MONOCHROME2"},
    "LABELMAP": {},
}
"""What Segmentation Type decides (PS3.3 C.8.20.2.1)."""

Vectors = NDArray[np.float64]


def check_derived(ds: Dataset, walk: Walk, known: Known) -> None:
    """Raise AttributeFault unless the frames of `ds` are those of the source and its pixels those of its frames."""
    for keyword in ("Rows", "Columns"):
        if not ds.get(keyword) or ds.get(keyword) != known.first.get(keyword):
            raise AttributeFault(keyword, "is not the source's")
    check_frame_of_reference(ds.get("FrameOfReferenceUID"), known, "FrameOfReferenceUID")
    if list(ds.get("ImageType") or [])[:2] != ["DERIVED", "PRIMARY"]:
        raise AttributeFault("ImageType", "is not DERIVED, PRIMARY")
    if ds.SOPClassUID in SEGMENTATIONS:
        _check_type(ds)
    check_frames(ds, walk)
    frames = read_frames(ds)
    count = int(ds.get("NumberOfFrames") or 0)
    if count < 1 or count != len(frames.segments):
        raise AttributeFault("NumberOfFrames", "is not the number of functional groups")
    check_pixels(ds)
    _check_places(ds, frames, known)
    if ds.SOPClassUID in SEGMENTATIONS:
        _check_segments(ds, frames)
    _check_dimensions(ds, frames)


def check_pixels(ds: Dataset) -> None:
    """Raise AttributeFault unless pixel data has the length of its frames, a bit or so many bytes a sample, without a
    gap and padded to an even length (PS3.5 8.1.1); compressed, a fragment or more a frame is all that is asked."""
    keyword = next((k for k in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if k in ds), None)
    if keyword is None:
        raise AttributeFault("PixelData", "is absent")
    value = ds[keyword].value
    length = len(value) if isinstance(value, bytes | bytearray) else buffer_length(value)
    meta = getattr(ds, "file_meta", None)
    syntax = UID(str(meta.get("TransferSyntaxUID") or ExplicitVRLittleEndian)) if meta else ExplicitVRLittleEndian
    frames = int(ds.get("NumberOfFrames") or 1)
    if syntax.is_encapsulated:
        if length < 8 * (frames + 1):
            raise AttributeFault(keyword, "has fewer fragments than frames")
        return
    bits = frames * int(ds.Rows) * int(ds.Columns) * int(ds.SamplesPerPixel) * int(ds.BitsAllocated)
    needed = -(-bits // 8)
    if length != needed + needed % 2:
        raise AttributeFault(keyword, "has not the length of its frames")


def _check_places(ds: Dataset, frames: Frames, known: Known) -> None:
    """Every frame has one source frame, and lies and points as it does (PS3.3 C.7.6.16.2.3, .4, .6)."""
    shared = ds.SharedFunctionalGroupsSequence[0]
    for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if not shared.get(keyword):
            raise AttributeFault(keyword, "is absent from the shared groups")
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    spacing = np.array(shared.PixelMeasuresSequence[0].PixelSpacing, float)
    whose = np.array([id(sources) for sources in frames.sources])  # frames of one plane may share what they derive from
    _, firsts = np.unique(np.stack([whose, _number_places(frames)]), axis=1, return_index=True)
    for n in firsts.tolist():
        place, directions, distances = _source_place(frames.sources[n], n + 1, known)
        if not float(np.abs(frames.positions[n] - place).max()) <= POSITION_TOLERANCE_MM:
            raise AttributeFault("ImagePositionPatient", f"of frame {n + 1} is not that of its source frame")
        if float(np.abs(cosines - directions).max()) > COSINE_TOLERANCE:
            raise AttributeFault("ImageOrientationPatient", f"is not that of the source of frame {n + 1}")
        if float(np.abs(spacing / distances - 1).max()) > SPACING_TOLERANCE:
            raise AttributeFault("PixelSpacing", f"is not that of the source of frame {n + 1}")


def _source_place(sources: tuple[Source, ...], n: int, known: Known) -> tuple[Vectors, Vectors, Vectors]:
    if len(sources) != 1 or sources[0].sop_instance_uid not in known.sources:
        raise AttributeFault("SourceImageSequence", f"of frame {n} is not one source instance")
    header = known.sources[sources[0].sop_instance_uid]
    if sources[0].sop_class_uid != find_value(header, "SOPClassUID"):
        raise AttributeFault("ReferencedSOPClassUID", f"of frame {n} is not that of the source instance")
    if not 1 <= sources[0].frame <= count_frames(header):
        raise AttributeFault("ReferencedFrameNumber", f"of frame {n} is no frame of the source")
    return find_place(header, sources[0].frame)


def find_place(header: Dataset, number: int) -> tuple[Vectors, Vectors, Vectors]:
    """Position in mm, unit cosines (6) and distances in mm between rows and columns of a source frame, wherever its
    IOD keeps them."""
    places = [header]
    if "PerFrameFunctionalGroupsSequence" in header:
        groups = [header.PerFrameFunctionalGroupsSequence[number - 1], header.SharedFunctionalGroupsSequence[0]]
        names = ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        places = [item for group in groups for name in names for item in group.get(name) or []]
    position, cosines, spacing = (
        _find_vector(places, keyword) for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
    )
    lengths = np.repeat([np.linalg.norm(cosines[:3]), np.linalg.norm(cosines[3:])], 3)
    return position, cosines / lengths, spacing


def _find_vector(places: list[Dataset], keyword: str) -> Vectors:
    for place in places:
        value = find_value(place, keyword)
        if value is not None:
            return np.array(value, float)
    raise AttributeFault(keyword, "is absent in the source")


def _check_dimensions(ds: Dataset, frames: Frames) -> None:
    """Dimension Index Values (PS3.3 C.7.6.17) count every dimension from 1 by 1, no two frames share them, and one
    index stands for one segment or one place."""
    pointers = [int(item.DimensionIndexPointer) for item in ds.DimensionIndexSequence]
    organizations = {str(item.DimensionOrganizationUID) for item in ds.DimensionOrganizationSequence}
    if {str(item.get("DimensionOrganizationUID")) for item in ds.DimensionIndexSequence} != organizations:
        raise AttributeFault("DimensionOrganizationUID", "of an index is none of the organizations")
    if {len(values) for values in frames.indices} != {len(pointers)}:
        raise AttributeFault("DimensionIndexValues", "has not a value for each dimension")
    indexes = np.array(frames.indices, np.int64)
    keys = indexes[:, 0]
    for column in indexes.T[1:]:
        keys = keys * (int(column.max()) + 1) + column
    if len(np.unique(keys)) != len(keys):
        raise AttributeFault("DimensionIndexValues", "is the same in two frames")
    for column, pointer in zip(indexes.T, pointers, strict=True):
        met = np.unique(column)
        if met[0] != 1 or met[-1] != len(met):
            raise AttributeFault("DimensionIndexValues", "does not count from 1 by 1")
        of = {SEGMENT_NUMBER: frames.segments, POSITION: _number_places(frames)}.get(pointer)
        if of is not None and len(np.unique(column << 32 | of)) != max(len(met), len(np.unique(of))):
            raise AttributeFault("DimensionIndexValues", "stands for two segments or places")


def _number_places(frames: Frames) -> NDArray[np.int64]:
    """(n,): a number for the position of each frame; equal positions have equal numbers."""
    _, numbers = np.unique(np.round(frames.positions, 4), axis=0, return_inverse=True)
    return np.asarray(numbers, np.int64).reshape(-1)


def _check_type(ds: Dataset) -> None:
    """Segmentation Type is the SOP class's, and the pixels are of its form."""
    if (ds.SegmentationType == "LABELMAP") != (ds.SOPClassUID == LABEL_MAP):
        raise AttributeFault("SegmentationType", "is not that of the SOP class")
    for keyword, value in FORMS[str(ds.SegmentationType)].items():
        if ds.get(keyword) != value:
            raise AttributeFault(keyword, "is not that of the segmentation type")


def _check_segments(ds: Dataset, frames: Frames) -> None:
    """Segments count from 1 (a label map's background is 0), each is tracked under its own uid and has frames."""
    numbers = [int(item.SegmentNumber) for item in ds.SegmentSequence]
    label_map = ds.SOPClassUID == LABEL_MAP
    if numbers != list(range(min(numbers[0], 1) if label_map else 1, numbers[0] + len(numbers))):
        raise AttributeFault("SegmentNumber", "does not count from 1 by 1")
    items = [item for item in ds.SegmentSequence if int(item.SegmentNumber) > 0]  # 0 is the background of a label map
    tracked = [str(item.get("TrackingUID", "")) for item in items]
    if len(set(tracked)) != len(tracked) or not all(UID(uid).is_valid for uid in tracked):
        raise AttributeFault("TrackingUID", "is absent, not a UID, or given twice")
    met = set(np.unique(frames.segments).tolist())
    if met - set(numbers) - ({0} if label_map else set()):
        n = int(np.flatnonzero(~np.isin(frames.segments, numbers))[0]) + 1
        raise AttributeFault("ReferencedSegmentNumber", f"of frame {n} is no segment")
    if not label_map and set(numbers) - met:
        raise AttributeFault("SegmentSequence", "has a segment without a frame")
