"""The last look at result objects before the outbox: are they what the Standard wants, whose are they, where do they
lie, and does what they name exist.

It reads the finished objects and the source headers alone, never a stack or a result, so that a mistake on the way
between them is seen. Messages name the object and the attribute, never a value of the patient's.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from pydicom import Dataset
from pydicom.uid import (
    UID,
    EncapsulatedPDFStorage,
    GrayscaleSoftcopyPresentationStateStorage,
    MultiFrameTrueColorSecondaryCaptureImageStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
)

from node.dicom.authorship import Predecessor
from node.dicom.codes import PROCESSING_EQUIPMENT
from node.dicom.context import ACQUISITION, OPTIONAL, TRIAL_TYPE_1, TRIAL_TYPE_2, TYPE_2, copy_valid
from node.dicom.gate.attributes import AttributeFault, check_attributes
from node.dicom.gate.derived import DERIVED, check_derived
from node.dicom.gate.drawing import check_capture, check_caution, check_pdf, check_presentation
from node.dicom.gate.iod_tables import find_sop_classes
from node.dicom.gate.references import Known, check_references, check_series
from node.dicom.gate.registrations import REGISTRATIONS, check_registration
from node.dicom.gate.report import DOCUMENTS, check_document
from node.dicom.gate.structures import check_structures
from node.dicom.gate.succession import check_succession
from node.dicom.gate.values import list_values
from node.dicom.header import find_value
from node.errors import EncodingError

IDENTITY = ["StudyInstanceUID", "PatientID", "PatientName", "IssuerOfPatientID", "AccessionNumber", "StudyID"]
DATED = ["PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"]
NEW_UIDS = ["SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID"]
SOURCE_UIDS = ["StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "FrameOfReferenceUID"]
PLACE = ["BodyPartExamined", "PositionReferenceIndicator"]
COPIED = [*TYPE_2, *OPTIONAL, *TRIAL_TYPE_1, *TRIAL_TYPE_2, *ACQUISITION, *PLACE]
EQUIPMENT = ["Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceSerialNumber"]
META = {"MediaStorageSOPClassUID": "SOPClassUID", "MediaStorageSOPInstanceUID": "SOPInstanceUID"}

OTHER_KINDS = {
    GrayscaleSoftcopyPresentationStateStorage: check_presentation,
    SecondaryCaptureImageStorage: check_capture,
    MultiFrameTrueColorSecondaryCaptureImageStorage: check_capture,
    EncapsulatedPDFStorage: check_pdf,
    **dict.fromkeys(REGISTRATIONS, check_registration),
}

UNREADABLE = (AttributeError, IndexError, KeyError, OverflowError, StopIteration, TypeError, ValueError)


def check_objects(
    objects: Sequence[Dataset],
    stack_headers: Sequence[Dataset],
    earlier: Sequence[Predecessor] = (),
    prior_headers: Sequence[Dataset] = (),
    beside: Sequence[Dataset] = (),
) -> None:
    """Raise EncodingError, naming object and attribute, unless `objects` are safe to send.

    objects: all of one result, of any of the kinds that node.dicom.gate.iod_tables knows. stack_headers: the source
    instances they speak of, all of one patient, study and frame of reference. Every object must be what PS3.3 says of
    its IOD, belong to that patient and study, be made by one algorithm and have new, valid uids; frames must lie on
    their source frames; whatever is referred to must be a source instance or another of `objects`. earlier: the objects
    that these replace: they must name them as that, and may go on in their series. prior_headers: instances of earlier
    studies of the patient, which registrations may name and nothing else. beside: others of the same result, looked at
    by themselves, which these may refer to.
    """
    if not stack_headers:
        raise EncodingError("no source instance was given to check against")
    for keyword in ("StudyInstanceUID", "PatientID"):
        if len({str(find_value(header, keyword) or "") for header in stack_headers}) > 1:
            raise EncodingError(f"source instances differ in {keyword}")
    if {str(find_value(one, "PatientID") or "") for one in prior_headers} - {
        str(find_value(stack_headers[0], "PatientID") or "")
    }:
        raise EncodingError("instances of earlier studies differ from the source in PatientID")
    sources = {str(find_value(header, "SOPInstanceUID")): header for header in stack_headers}
    uids = {
        str(find_value(header, keyword) or "") for header in (*stack_headers, *prior_headers) for keyword in SOURCE_UIDS
    }
    segments = {
        (str(ds.get("SOPInstanceUID", "")), item.get("SegmentNumber")): item
        for ds in objects
        for item in ds.get("SegmentSequence") or []
    }
    known = Known(
        sources,
        {str(ds.get("SOPInstanceUID", "")): ds for ds in (*beside, *objects)},
        uids,
        segments,
        {one.sop_instance_uid: one for one in earlier},
        {str(find_value(header, "SOPInstanceUID")): header for header in prior_headers},
    )
    alone = replace(known, others={})
    classes = find_sop_classes()
    for ds in objects:
        try:
            _check_uids(ds, objects, known)
            _check_identity(ds, known.first)
            if ds.SOPClassUID not in classes:
                raise AttributeFault("SOPClassUID", "is none that this node sends")
            _check_object(ds, known if ds.SOPClassUID in REGISTRATIONS else alone)
            _check_equipment(ds, objects[0])
        except AttributeFault as fault:
            raise _fail(ds, str(fault)) from fault
        except UNREADABLE as error:
            keyword = getattr(error, "name", None) or "an attribute that is required"
            raise _fail(
                ds, f"{keyword} is absent or unreadable: {type(error).__name__}"
            ) from None  # its text may quote a value


def _fail(ds: Dataset, why: str) -> EncodingError:
    return EncodingError(f"{ds.get('Modality', 'object')} {ds.get('SOPInstanceUID', 'without uid')}: {why}")


def _check_object(ds: Dataset, known: Known) -> None:
    """The object against the tables, and then by its kind."""
    _check_meta(ds)
    walk = check_attributes(ds, copied=_find_copied(known.first), uids=known.uids)
    if not str(ds.get("SeriesDescription", "")).startswith("AI"):
        raise AttributeFault("SeriesDescription", "does not say that it is AI's")
    check_series(ds, known)
    if ds.SOPClassUID in DERIVED:
        check_derived(ds, walk, known)
    if ds.SOPClassUID == RTStructureSetStorage:
        check_structures(ds, walk, known)
        check_caution(ds, "StructureSetDescription")
    if ds.SOPClassUID in DOCUMENTS:
        check_document(ds, known)
    check_references(ds, known)
    check_succession(ds, known)
    if ds.SOPClassUID in OTHER_KINDS:
        OTHER_KINDS[ds.SOPClassUID](ds, known)


def _check_uids(ds: Dataset, objects: Sequence[Dataset], known: Known) -> None:
    for keyword in NEW_UIDS:
        if not UID(str(ds.get(keyword, ""))).is_valid:
            raise AttributeFault(keyword, "is absent or not a UID")
    taken = Counter(str(one.get("SOPInstanceUID", "")) for one in objects)
    if taken[str(ds.SOPInstanceUID)] > 1 or str(ds.SOPInstanceUID) in known.sources:
        raise AttributeFault("SOPInstanceUID", "is another object's")
    if str(ds.SeriesInstanceUID) in known.uids:
        raise AttributeFault("SeriesInstanceUID", "is a source's")
    for one in objects:
        if one.get("SeriesInstanceUID") == ds.SeriesInstanceUID and one.get("Modality") != ds.get("Modality"):
            raise AttributeFault("SeriesInstanceUID", "is shared by objects of different modality")


def _check_identity(ds: Dataset, source: Dataset) -> None:
    for keyword in IDENTITY:
        if not _same_text(str(ds.get(keyword) or ""), str(source.get(keyword) or ""), source):
            raise AttributeFault(keyword, "is not the source's")
    expected = copy_valid(source, DATED)
    for keyword in DATED:
        if keyword not in ds or str(ds[keyword].value or "") != str(expected.get(keyword) or ""):
            raise AttributeFault(keyword, "is not the source's")


def _same_text(ours: str, theirs: str, source: Dataset) -> bool:
    """Equal as decoded; or, where the source declares no character set, equal when its bytes are read as UTF-8."""
    if ours == theirs.strip():
        return True
    try:
        return not source.get("SpecificCharacterSet") and theirs.strip().encode("latin-1") == ours.encode()
    except UnicodeError:
        return False


def _check_meta(ds: Dataset) -> None:
    """File Meta Information, where there is one already, speaks of this very object (PS3.10 7.1)."""
    meta = getattr(ds, "file_meta", None) or Dataset()
    for keyword, named in META.items():
        if keyword in meta and str(meta[keyword].value) != str(ds[named].value):
            raise AttributeFault(keyword, f"of the file is not {named}")


def _find_copied(source: Dataset) -> dict[int, set[str]]:
    """Tag -> values, as text, of what objects take over from the source as it is."""
    return {
        int(element.tag): {str(value) for value in list_values(element.value)}
        for element in copy_valid(source, COPIED)
        if element.VR != "SQ"
    }


def _check_equipment(ds: Dataset, first: Dataset) -> None:
    """One algorithm made all objects, and each says so in both places (IHE AIR 6.5.3.1, table 6.5.3.1-1)."""
    for keyword in EQUIPMENT:
        if str(ds.get(keyword, "")) != str(first.get(keyword, "")):
            raise AttributeFault(keyword, "is not that of the other objects")
    makers = [
        item for item in ds.get("ContributingEquipmentSequence") or []
        if any(code.CodeValue == PROCESSING_EQUIPMENT.value for code in item.PurposeOfReferenceCodeSequence)
    ]  # fmt: skip
    if len(makers) != 1:
        raise AttributeFault("ContributingEquipmentSequence", "does not name one processing equipment")
    own = {"DeviceUID": str(ds.get("DeviceSerialNumber", "")), **{k: str(ds.get(k, "")) for k in EQUIPMENT[:3]}}
    for keyword, value in own.items():
        if str(makers[0].get(keyword, "")) != value:
            raise AttributeFault(f"ContributingEquipmentSequence.{keyword}", "is not that of the equipment")
    for segment in ds.get("SegmentSequence") or []:
        for algorithm in segment.get("SegmentationAlgorithmIdentificationSequence") or []:
            said = str(algorithm.get("AlgorithmName", "")), str(algorithm.get("AlgorithmVersion", ""))
            if said != (own["ManufacturerModelName"], own["SoftwareVersions"]):
                raise AttributeFault("SegmentationAlgorithmIdentificationSequence", "is not the equipment")
