"""What a result object takes over from the images it speaks of: patient, study, request, equipment; and what it adds.

Everything is copied as decoded text into a dataset in UTF-8 (ISO_IR 192), whatever the source declared. Identity is
never altered; of the rest only what is valid is taken over, so that a scanner's mistake does not become ours.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from pydicom import DataElement, Dataset, config
from pydicom.valuerep import validate_value

from node.dicom.authorship import Authorship
from node.dicom.codes import ACQUISITION_EQUIPMENT, PROCESSING_EQUIPMENT, to_concept
from node.dicom.header import find_value
from node.dicom.request import to_request
from node.dicom.succession import add_predecessors
from node.dicom.write import new_file_meta
from node.model.order import Order

TYPE_2 = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName",
]  # fmt: skip
"""Patient (PS3.3 C.7.1.1) and General Study (C.7.2.1) attributes that must be there, if only empty."""

IDENTITY = frozenset(
    {"PatientName", "PatientID", "IssuerOfPatientID", "AccessionNumber", "StudyID", "StudyInstanceUID"}
)
"""Copied even where its form is not valid: a changed identity would be another patient's."""

OPTIONAL = [
    "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "TypeOfPatientID", "PatientBirthTime",
    "OtherPatientIDsSequence", "EthnicGroup", "QualityControlSubject", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified",
    "PatientSpeciesDescription", "PatientSpeciesCodeSequence", "PatientBreedDescription", "PatientBreedCodeSequence",
    "IssuerOfAccessionNumberSequence", "StudyDescription", "ReferringPhysicianIdentificationSequence",
    "PhysiciansOfRecord", "RequestingService", "RequestingServiceCodeSequence", "ProcedureCodeSequence",
    "AdmittingDiagnosesDescription", "AdmittingDiagnosesCodeSequence", "PatientAge", "PatientSize", "PatientWeight",
    "PatientSexNeutered", "AdmissionID", "IssuerOfAdmissionIDSequence", "TimezoneOffsetFromUTC",
]  # fmt: skip

TRIAL_TYPE_1 = ["ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialSubjectID"]
TRIAL_TYPE_2 = ["ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName"]

ACQUISITION = [
    "Manufacturer", "InstitutionName", "InstitutionalDepartmentName", "StationName", "ManufacturerModelName",
    "DeviceSerialNumber", "SoftwareVersions", "DeviceUID",
]  # fmt: skip

ENUMERATED = {"PatientSex": {"M", "F", "O"}, "PatientIdentityRemoved": {"YES", "NO"}}

ORDER_NUMBERS = ("PlacerOrderNumberImagingServiceRequest", "FillerOrderNumberImagingServiceRequest")
"""Of Referenced Request Sequence alone (PS3.3 table C.17-2)."""

TEXT = {"LO", "LT", "PN", "SH", "ST", "UC", "UT"}
UNREADABLE = (ValueError, TypeError, OverflowError, AttributeError, NotImplementedError)


def new_object(
    source: Dataset, author: Authorship, sop_class_uid: str, modality: str, part: str, series_number: int, title: str
) -> Dataset:
    """A dataset with the modules that every result object has, for the study of `source`; `source` stays as it is.

    Patient, General Study, Patient Study, Clinical Trial, General Series, Enhanced General Equipment and SOP Common
    (PS3.3 C.7.1 to C.7.5, C.12.1). `part` names the object among those of its author: "segmentation", "report" ...
    Its uids derive from it, its times are `author.created`: the same call makes the same bytes. The next version of an
    object goes on in its series under the number of the version; what belongs to the series, its date and time and its
    description too, stays as it was.
    """
    ds = copy_valid(source, ["StudyInstanceUID", *TYPE_2, *OPTIONAL])
    for keyword in TYPE_2:
        ds.setdefault(keyword, "")
    ds.update(_clinical_trial(source))
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = sop_class_uid, author.uid(part)
    ds.Modality, ds.SeriesNumber, ds.SeriesDescription = modality, series_number, title[:64]
    before = author.find_series(part, str(source.get("FrameOfReferenceUID", "")))
    ds.SeriesInstanceUID = before.series_uid if before else author.uid(part, "series")
    ds.InstanceNumber = author.version if before else 1
    created = local_time(source, author.created)
    began = local_time(source, before.began_at) if before else created
    for event, moment in (("Series", began), ("Content", created), ("InstanceCreation", created)):
        setattr(ds, f"{event}Date", moment.strftime("%Y%m%d"))
        setattr(ds, f"{event}Time", moment.strftime("%H%M%S"))
    add_predecessors(ds, author.find_predecessors(part, sop_class_uid, modality))
    _add_equipment(ds, source, author)
    ds.file_meta = new_file_meta(sop_class_uid, ds.SOPInstanceUID)
    return ds


def local_time(source: Dataset, created: datetime) -> datetime:
    """`created` in the zone that `source` declares for all its times (PS3.3 C.12.1.1.1), else as it is."""
    declared = copy_valid(source, ["TimezoneOffsetFromUTC"]).get("TimezoneOffsetFromUTC")
    if not declared:
        return created
    sign = -1 if declared[0] == "-" else 1
    offset = timedelta(hours=int(declared[1:3]), minutes=int(declared[3:5]))
    return created.astimezone(timezone(sign * offset))


def add_examined(ds: Dataset, source: Dataset, order: Order | None) -> None:
    """The body part that `source` shows and the requests that it answers, as far as it states them validly; and the
    `order` of its study."""
    ds.update(copy_valid(source, ["BodyPartExamined"]))
    add_requests(ds, source, order)


def add_requests(ds: Dataset, source: Dataset, order: Order | None) -> None:
    """The requests that `source` answers and the `order` of its study (Request Attributes Macro, PS3.3 table 10-9): all
    that an Encapsulated Document Series has of it (PS3.3 C.24.1)."""
    requests = copy_requests(source, order)
    for request in requests:
        for keyword in ORDER_NUMBERS:
            if keyword in request:
                del request[keyword]
    if requests:
        ds.RequestAttributesSequence = requests


def copy_requests(source: Dataset, order: Order | None) -> list[Dataset]:
    """The items of Request Attributes Sequence (PS3.3 10.6) of `source`, without their empty attributes, and what the
    `order` says: in the item of its requested procedure, or of no named one, or in one of its own. What the images say
    in an item stays; the item of the order has its order numbers too."""
    items = list(copy_valid(source, ["RequestAttributesSequence"]).get("RequestAttributesSequence", []))
    if order is None:
        return items
    told = to_request(order, str(source.StudyInstanceUID))
    item = next((item for item in items if _is_same_request(item, told)), None)
    if item is None:
        return [*items, told]
    for element in told:
        item.setdefault(element.tag, element)
    return items


def _is_same_request(item: Dataset, told: Dataset) -> bool:
    """Neither names another procedure, nor another accession number."""
    keywords = ("RequestedProcedureID", "AccessionNumber")
    return all(item.get(keyword) in (None, "", told.get(keyword)) for keyword in keywords)


def copy_valid(source: Dataset, keywords: Iterable[str]) -> Dataset:
    """The valued attributes of `source` named by `keywords`, decoded; the invalid ones, identity aside, left out."""
    copied = Dataset()
    undeclared = not source.get("SpecificCharacterSet")
    for keyword in keywords:
        element = _find_element(source, keyword)
        cleaned = _clean(element, keyword, undeclared) if element is not None else None
        if cleaned is not None:
            copied.add(cleaned)
    return copied


def _find_element(source: Dataset, keyword: str) -> DataElement | None:
    try:
        return source[keyword]
    except (KeyError, *UNREADABLE):
        return None


def _clean(element: DataElement, keyword: str, undeclared: bool) -> DataElement | None:
    """A valid copy of `element` in plain Python values; None when nothing of it is left."""
    vr = str(element.VR)
    if vr == "SQ":
        items = [_clean_item(item, undeclared) for item in element.value]
        if keyword.endswith("CodeSequence"):
            items = [item for item in items if {"CodeMeaning", "CodingSchemeDesignator"} <= set(item.dir())]
        items = [item for item in items if len(item)]
        return DataElement(element.tag, vr, items) if items else None
    if vr in {"UN", "OB", "OW"} or element.is_empty:
        return None
    values = [_plain(value, vr, undeclared) for value in (element.value if element.VM > 1 else [element.value])]
    if keyword not in IDENTITY and not all(_is_valid(value, vr, keyword) for value in values):
        return None
    return DataElement(element.tag, vr, values if element.VM > 1 else values[0], validation_mode=config.IGNORE)


def _clean_item(item: Dataset, undeclared: bool) -> Dataset:
    """The same for an item of a sequence: every standard attribute of it that is valid."""
    cleaned = Dataset()
    for tag in sorted(item.keys()):
        if not tag.is_private and tag.element != 0:
            try:
                element = _clean(item[tag], item[tag].keyword, undeclared)
            except UNREADABLE:
                continue
            if element is not None:
                cleaned.add(element)
    return cleaned


def _plain(value: Any, vr: str, undeclared: bool) -> Any:
    """`value` as text where its VR is text of any kind; as it is where it is binary."""
    if isinstance(value, int | float) and vr not in {"DS", "IS"}:
        return value
    text = str(value).strip()
    if vr in TEXT and undeclared:
        text = _undeclared(text)
    if vr == "DA":
        text = text.replace(".", "")  # the form of ACR-NEMA, 2024.01.31 (PS3.5 table 6.2-1)
    if vr == "TM":
        text = text.replace(":", "")
    return text


def _undeclared(text: str) -> str:
    """Text read as Latin-1 because no character set was declared: UTF-8 when its bytes are, as they often are."""
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def _is_valid(value: Any, vr: str, keyword: str) -> bool:
    if keyword in ENUMERATED and value not in ENUMERATED[keyword]:
        return False
    if keyword == "TimezoneOffsetFromUTC":
        return len(value) == 5 and value[0] in "+-" and value[1:].isdigit() and int(value[1:3]) <= 14
    try:
        validate_value(vr, value, config.RAISE)
    except ValueError:
        return False
    return True


def _clinical_trial(source: Dataset) -> Dataset:
    """Clinical Trial Subject (PS3.3 C.7.1.3), when the source has what it demands."""
    trial = copy_valid(source, [*TRIAL_TYPE_1, *TRIAL_TYPE_2])
    if not all(keyword in trial for keyword in TRIAL_TYPE_1):
        return Dataset()
    for keyword in TRIAL_TYPE_2:
        trial.setdefault(keyword, "")
    return trial


def _add_equipment(ds: Dataset, source: Dataset, author: Authorship) -> None:
    """The algorithm is the equipment, named alike in both places, with its Device UID (IHE AIR 6.5.3.1)."""
    algorithm = _algorithm_equipment(author)
    ds.update(algorithm)
    ds.DeviceSerialNumber = author.device_uid
    algorithm.PurposeOfReferenceCodeSequence = [to_concept(PROCESSING_EQUIPMENT)]
    algorithm.ContributionDateTime = author.created.strftime("%Y%m%d%H%M%S%z")
    algorithm.ContributionDescription = f"weights sha256 {author.manifest.weights_sha256}"
    scanner = copy_valid(source, ACQUISITION)
    items = [algorithm]
    if "Manufacturer" in scanner:
        scanner.PurposeOfReferenceCodeSequence = [to_concept(ACQUISITION_EQUIPMENT)]
        items.insert(0, scanner)
    ds.ContributingEquipmentSequence = items


def _algorithm_equipment(author: Authorship) -> Dataset:
    item = Dataset()
    item.Manufacturer, item.ManufacturerModelName = author.manifest.manufacturer, author.manifest.name
    item.SoftwareVersions, item.DeviceUID = author.manifest.version, author.device_uid
    item.StationName = author.station
    return item


def reference_series(datasets: Sequence[Dataset], keyword: str) -> list[Dataset]:
    """Items of Referenced Series Sequence, one a series, that name every instance once in the sequence `keyword`:
    "ReferencedInstanceSequence" (PS3.3 C.12.2) or, in a report, "ReferencedSOPSequence" (PS3.3 table C.17-3b)."""
    series: dict[str, dict[str, Dataset]] = {}
    for dataset in datasets:
        names = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID")
        sop_class, uid, series_uid = (str(find_value(dataset, name)) for name in names)
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        series.setdefault(series_uid, {})[uid] = item
    references = []
    for uid, instances in series.items():
        reference = Dataset()
        reference.SeriesInstanceUID = uid
        setattr(reference, keyword, list(instances.values()))
        references.append(reference)
    return references
