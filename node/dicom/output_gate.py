"""The last look at result objects before the outbox: whose they are, where they lie, and that what they name exists.

It reads the finished objects and the source headers alone, never a stack or a result, so that a mistake on the way
between them is seen. Messages name the object and the attribute, never a value of the patient's.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from pydicom import Dataset
from pydicom.uid import UID, Comprehensive3DSRStorage, SegmentationStorage

from node.dicom import codes
from node.dicom.context import copy_valid
from node.dicom.read_report import find_outcome, read_findings
from node.errors import EncodingError

IDENTITY = ["StudyInstanceUID", "PatientID", "PatientName", "IssuerOfPatientID", "AccessionNumber", "StudyID"]
DATED = ["PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"]
NEW_UIDS = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"]

POSITION_TOLERANCE_MM = 0.01
COSINE_TOLERANCE = 0.001


def check_objects(objects: Sequence[Dataset], stack_headers: Sequence[Dataset]) -> None:
    """Raise EncodingError, naming object and attribute, unless `objects` are safe to send.

    stack_headers: the source instances they speak of, all of one patient, study and frame of reference. Every object
    must belong to that patient and study and have new, valid uids; a Segmentation must lie on its source frames and
    hold the pixels that it announces; whatever a report refers to must be a source instance or another of `objects`.
    """
    if not stack_headers:
        raise EncodingError("no source instance was given to check against")
    for keyword in ("StudyInstanceUID", "PatientID"):
        if len({str(header.get(keyword, "")) for header in stack_headers}) > 1:
            raise EncodingError(f"source instances differ in {keyword}")
    sources = {str(header.SOPInstanceUID): header for header in stack_headers}
    _check_uids(objects, sources)
    segmentations = {str(ds.SOPInstanceUID): ds for ds in objects if ds.SOPClassUID == SegmentationStorage}
    for ds in objects:
        _check_identity(ds, stack_headers[0])
        try:
            if ds.SOPClassUID == SegmentationStorage:
                _check_segmentation(ds, sources)
            if ds.SOPClassUID == Comprehensive3DSRStorage:
                _check_report(ds, sources, segmentations)
        except (AttributeError, IndexError, KeyError, StopIteration, TypeError, ValueError) as error:
            raise _fail(ds, "an attribute that is required", f"is absent or unreadable: {error}") from error


def _fail(ds: Dataset, attribute: str, why: str) -> EncodingError:
    return EncodingError(f"{ds.get('Modality', 'object')} {ds.get('SOPInstanceUID', 'without uid')}: {attribute} {why}")


def _check_uids(objects: Sequence[Dataset], sources: dict[str, Dataset]) -> None:
    for ds in objects:
        for keyword in NEW_UIDS:
            if not UID(str(ds.get(keyword, ""))).is_valid:
                raise _fail(ds, keyword, "is absent or not a UID")
    taken = Counter(str(ds.SOPInstanceUID) for ds in objects)
    series = {str(header.SeriesInstanceUID) for header in sources.values()}
    for ds in objects:
        if taken[str(ds.SOPInstanceUID)] > 1 or str(ds.SOPInstanceUID) in sources:
            raise _fail(ds, "SOPInstanceUID", "is another object's")
        if str(ds.SeriesInstanceUID) in series:
            raise _fail(ds, "SeriesInstanceUID", "is a source series'")
    for one in objects:
        if any(one.SeriesInstanceUID == ds.SeriesInstanceUID and one.Modality != ds.Modality for ds in objects):
            raise _fail(one, "SeriesInstanceUID", "is shared by objects of different modality")


def _check_identity(ds: Dataset, source: Dataset) -> None:
    for keyword in IDENTITY:
        if not _same_text(str(ds.get(keyword) or ""), str(source.get(keyword) or ""), source):
            raise _fail(ds, keyword, "is not the source's")
    expected = copy_valid(source, DATED)
    for keyword in DATED:
        if keyword not in ds or str(ds[keyword].value or "") != str(expected.get(keyword) or ""):
            raise _fail(ds, keyword, "is not the source's")


def _same_text(ours: str, theirs: str, source: Dataset) -> bool:
    """Equal as decoded; or, where the source declares no character set, equal when its bytes are read as UTF-8."""
    if ours == theirs.strip():
        return True
    try:
        return not source.get("SpecificCharacterSet") and theirs.strip().encode("latin-1") == ours.encode()
    except UnicodeError:
        return False


def _check_segmentation(ds: Dataset, sources: dict[str, Dataset]) -> None:
    first = next(iter(sources.values()))
    for keyword in ("FrameOfReferenceUID", "Rows", "Columns"):
        if not ds.get(keyword) or ds.get(keyword) != first.get(keyword):
            raise _fail(ds, keyword, "is not the source's")
    _check_segments(ds)
    _check_pixels(ds)
    for series in ds.ReferencedSeriesSequence:
        for reference in series.ReferencedInstanceSequence:
            if str(reference.ReferencedSOPInstanceUID) not in sources:
                raise _fail(ds, "ReferencedInstanceSequence", "names an instance that is not a source")
    numbers = {int(item.SegmentNumber) for item in ds.SegmentSequence}
    for n, group in enumerate(ds.PerFrameFunctionalGroupsSequence, 1):
        if int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) not in numbers:
            raise _fail(ds, "ReferencedSegmentNumber", f"of frame {n} is no segment")
        _check_frame(ds, group, n, sources)


def _check_segments(ds: Dataset) -> None:
    numbers = [int(item.SegmentNumber) for item in ds.SegmentSequence]
    if numbers != list(range(1, len(numbers) + 1)):
        raise _fail(ds, "SegmentNumber", "does not count from 1 by 1")
    tracked = [str(item.get("TrackingUID", "")) for item in ds.SegmentSequence]
    if len(set(tracked)) != len(tracked) or not all(UID(uid).is_valid for uid in tracked):
        raise _fail(ds, "TrackingUID", "is absent, not a UID, or given twice")


def _check_pixels(ds: Dataset) -> None:
    """One bit a pixel, frames without a gap, padded to an even length (PS3.5 8.1.1)."""
    frames = int(ds.NumberOfFrames)
    if frames < 1 or frames != len(ds.PerFrameFunctionalGroupsSequence):
        raise _fail(ds, "NumberOfFrames", "is not the number of functional groups")
    needed = -(-frames * int(ds.Rows) * int(ds.Columns) // 8)
    if len(ds.PixelData) != needed + needed % 2:
        raise _fail(ds, "PixelData", "has not the length of its frames")


def _check_frame(ds: Dataset, group: Dataset, n: int, sources: dict[str, Dataset]) -> None:
    """Frame n lies where the one source frame lies that it was derived from."""
    images = group.DerivationImageSequence[0].SourceImageSequence
    header = sources.get(str(images[0].ReferencedSOPInstanceUID))
    if header is None or len(images) != 1:
        raise _fail(ds, "SourceImageSequence", f"of frame {n} is not one source instance")
    if images[0].ReferencedSOPClassUID != header.SOPClassUID:
        raise _fail(ds, "ReferencedSOPClassUID", f"of frame {n} is not that of the source instance")
    number = int(images[0].get("ReferencedFrameNumber") or 1)
    if not 1 <= number <= int(header.get("NumberOfFrames") or 1):
        raise _fail(ds, "ReferencedFrameNumber", f"of frame {n} is no frame of the source")
    position, cosines = _place(header, number)
    ours = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
    if float(np.abs(ours - position).max()) > POSITION_TOLERANCE_MM:
        raise _fail(ds, "ImagePositionPatient", f"of frame {n} is not that of its source frame")
    shared = ds.SharedFunctionalGroupsSequence[0].PlaneOrientationSequence[0]
    if float(np.abs(np.array(shared.ImageOrientationPatient, float) - cosines).max()) > COSINE_TOLERANCE:
        raise _fail(ds, "ImageOrientationPatient", f"is not that of the source of frame {n}")


def _place(header: Dataset, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Position in mm and unit cosines (6) of a source frame, wherever its IOD keeps them."""
    places = [header]
    if "PerFrameFunctionalGroupsSequence" in header:
        groups = [header.PerFrameFunctionalGroupsSequence[number - 1], header.SharedFunctionalGroupsSequence[0]]
        places = [
            item for group in groups for name in ("PlanePositionSequence", "PlaneOrientationSequence")
            for item in group.get(name) or []
        ]  # fmt: skip
    position = next(np.array(place.ImagePositionPatient, float) for place in places if "ImagePositionPatient" in place)
    cosines = next(
        np.array(place.ImageOrientationPatient, float) for place in places if "ImageOrientationPatient" in place
    )
    lengths = np.repeat([np.linalg.norm(cosines[:3]), np.linalg.norm(cosines[3:])], 3)
    return position, cosines / lengths


def _check_report(ds: Dataset, sources: dict[str, Dataset], segmentations: dict[str, Dataset]) -> None:
    evidence = {
        str(reference.ReferencedSOPInstanceUID)
        for study in ds.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for reference in series.ReferencedSOPSequence
    }
    if not evidence <= sources.keys() | segmentations.keys():
        raise _fail(ds, "CurrentRequestedProcedureEvidenceSequence", "names an instance that does not exist")
    for reference in _references(ds):
        if str(reference.ReferencedSOPInstanceUID) not in evidence:
            raise _fail(ds, "ReferencedSOPInstanceUID", "in the content tree is not among the evidence")
    _check_outcome(ds)
    for finding in read_findings(ds):
        if not UID(finding["tracking_uid"] or "").is_valid:
            raise _fail(ds, "TrackingUID", "of a measurement group is absent or not a UID")
        if finding["segment"] is not None:
            _check_segment_reference(ds, finding["tracking_uid"], finding["segment"], segmentations)
        if not all(np.isfinite(m["value"]) for m in finding["measurements"] if m["value"] is not None):
            raise _fail(ds, "NumericValue", "is not a finite number")


def _check_segment_reference(
    ds: Dataset, tracking_uid: str, segment: dict[str, object], segmentations: dict[str, Dataset]
) -> None:
    target = segmentations.get(str(segment["sop_instance_uid"]))
    items = target.SegmentSequence if target is not None else []
    item = next((item for item in items if int(item.SegmentNumber) == segment["number"]), None)
    if item is None:
        raise _fail(ds, "ReferencedSegmentNumber", "is no segment of the segmentation")
    if str(item.TrackingUID) != tracking_uid:
        raise _fail(ds, "TrackingUID", "of a measurement group is not that of its segment")


def _check_outcome(ds: Dataset) -> None:
    """What the report says of the whole run agrees with its groups: nothing found is not the same as not run."""
    outcome = find_outcome(ds)
    findings = read_findings(ds)
    some = any(not finding["absent"] for finding in findings)
    agrees = {
        codes.WITH_FINDINGS.value: some,
        codes.WITHOUT_FINDINGS.value: bool(findings) and not some,
        codes.DID_NOT_RUN.value: not findings,
    }
    if outcome is None or not agrees.get(outcome.value, False):
        raise _fail(ds, "outcome (CID 6047)", "is absent or contradicts the findings")


def _references(item: Dataset) -> Iterator[Dataset]:
    """Every reference to an instance in the content tree below `item`."""
    for child in item.get("ContentSequence") or []:
        yield from child.get("ReferencedSOPSequence") or []
        yield from _references(child)
