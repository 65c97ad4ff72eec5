"""Which attributes speak of a study, a series or an instance, and how their values are compared.

In:  DICOM JSON of an instance.   Out: the attributes of each level, and the values of those keys that have a column.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

from pydicom.datadict import dictionary_VR, tag_for_keyword

Model = Mapping[str, Any]


class Level(IntEnum):
    """Of the query/retrieve hierarchy, as far as PS3.18 10.6 has resources for it."""

    STUDY = 0
    SERIES = 1
    INSTANCE = 2


def _tags(*keywords: str) -> tuple[str, ...]:
    return tuple(f"{tag_for_keyword(keyword):08X}" for keyword in keywords)


ALWAYS: dict[Level, tuple[str, ...]] = {
    Level.STUDY: _tags(
        "SpecificCharacterSet", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
        "TimezoneOffsetFromUTC", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID",
        "StudyID", "StudyDescription",
    ),
    Level.SERIES: _tags(
        "SpecificCharacterSet", "Modality", "TimezoneOffsetFromUTC", "SeriesDescription", "SeriesInstanceUID",
        "SeriesNumber", "PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime",
        "RequestAttributesSequence", "BodyPartExamined",
    ),
    Level.INSTANCE: _tags(
        "SpecificCharacterSet", "SOPClassUID", "SOPInstanceUID", "TimezoneOffsetFromUTC", "InstanceNumber", "Rows",
        "Columns", "BitsAllocated", "NumberOfFrames",
    ),
}  # fmt: skip
"""What every answer holds, where the instances do (PS3.18 tables 10.6.3-3, 10.6.3-4, 10.6.3-5), and two attributes
that every client asks for beside."""

OF_LEVEL: dict[Level, frozenset[str]] = {
    Level.STUDY: frozenset(ALWAYS[Level.STUDY])
    | frozenset(
        _tags(
            "IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "PatientBirthTime", "OtherPatientIDsSequence",
            "OtherPatientNames", "EthnicGroup", "PatientComments", "PatientSpeciesDescription", "ResponsiblePerson",
            "PatientIdentityRemoved", "DeidentificationMethod", "DeidentificationMethodCodeSequence",
            "ProcedureCodeSequence", "ReferencedStudySequence", "PhysiciansOfRecord", "NameOfPhysiciansReadingStudy",
            "ConsultingPhysicianName", "RequestingService", "AdmittingDiagnosesDescription", "PatientAge",
            "PatientSize", "PatientWeight", "AdditionalPatientHistory", "Occupation", "IssuerOfAccessionNumberSequence",
            "ReasonForVisit", "AdmissionID", "ClinicalTrialSponsorName", "ClinicalTrialProtocolID",
            "ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSubjectID", "InstitutionName",
        )
    ),
    Level.SERIES: frozenset(ALWAYS[Level.SERIES])
    | frozenset(
        _tags(
            "SeriesDate", "SeriesTime", "SeriesType", "Laterality", "PerformingPhysicianName", "ProtocolName",
            "OperatorsName", "ReferencedPerformedProcedureStepSequence", "PatientPosition",
            "PerformedProcedureStepID", "PerformedProcedureStepDescription", "PerformedProcedureStepEndDate",
            "PerformedProcedureStepEndTime", "PerformedProtocolCodeSequence", "SeriesDescriptionCodeSequence",
            "Manufacturer", "InstitutionAddress", "StationName", "InstitutionalDepartmentName",
            "ManufacturerModelName", "DeviceSerialNumber", "SoftwareVersions", "FrameOfReferenceUID",
            "PositionReferenceIndicator", "AnatomicRegionSequence",
        )
    ),
}  # fmt: skip
"""Attributes of the Patient and Study, and of the Series and Equipment modules; the others are the instance's."""

COLUMNS: dict[Level, dict[str, str]] = {
    Level.STUDY: dict(
        zip(
            _tags(
                "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
                "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDescription",
                "ModalitiesInStudy", "SOPClassesInStudy",
            ),
            (
                "study_uid", "study_date", "study_time", "accession_number", "referring_physician", "patient_name",
                "patient_id", "birth_date", "sex", "study_id", "study_description", "modalities", "classes",
            ),
            strict=True,
        )
    ),
    Level.SERIES: dict(
        zip(
            _tags("SeriesInstanceUID", "Modality", "SeriesNumber", "SeriesDescription", "BodyPartExamined"),
            ("series_uid", "modality", "series_number", "series_description", "body_part"),
            strict=True,
        )
    )
    | {
        "00400244": "step_date",
        "00400245": "step_time",
        "00400275.00400009": "step_ids",
        "00400275.00401001": "procedure_ids",
    },
    Level.INSTANCE: dict(
        zip(
            _tags("SOPInstanceUID", "SOPClassUID", "InstanceNumber"),
            ("sop_instance_uid", "sop_class_uid", "instance_number"),
            strict=True,
        )
    ),
}  # fmt: skip
"""Keys that have a column of their own: those that matching is required for (PS3.18 tables 10.6.1-5 and following)."""

COMPUTED = frozenset({"00080061", "00080062"})
"""Modalities and SOP Classes in Study: gathered from its series and instances."""

OF_ROW = frozenset(
    _tags(
        "StudyInstanceUID", "SeriesInstanceUID", "InstanceAvailability", "RetrieveURL", "AvailableTransferSyntaxUID",
        "ModalitiesInStudy", "SOPClassesInStudy", "NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances",
        "NumberOfSeriesRelatedInstances",
    )
)  # fmt: skip
"""What is known of a study, series or instance beside its own attributes."""

MARK = "\\"


def find_level(path: Sequence[str]) -> Level:
    """Of which level the attribute at `path` (8 hexadecimal digits each, sequences first) speaks."""
    if path[0] in COMPUTED:
        return Level.STUDY
    return next((level for level, tags in OF_LEVEL.items() if path[0] in tags), Level.INSTANCE)


def find_column(level: Level, path: Sequence[str]) -> str | None:
    """The column of the key at `path`; None when it has none."""
    return COLUMNS[level].get(".".join(path))


def find_vr(tag: str) -> str:
    """From the dictionary; UN for what it does not know."""
    try:
        return dictionary_VR(int(tag, 16))
    except KeyError:
        return "UN"


def pick(model: Model, level: Level) -> dict[str, Any]:
    """The attributes of `level` in the model of an instance; UIDs of the levels above are no part of it."""
    return {tag: element for tag, element in model.items() if tag in OF_LEVEL[level]}


def find_columns(model: Model, level: Level) -> dict[str, str]:
    """{column: text to compare} of the keys of `level`, "" where absent."""
    paths = {column: path.split(".") for path, column in COLUMNS[level].items() if path not in COMPUTED}
    return {column: to_text(find_vr(path[-1]), find_values(model, path)) for column, path in paths.items()}


def find_values(model: Model, path: Sequence[str]) -> list[Any]:
    """Every value at `path`, whichever item of a sequence it is in."""
    element = model.get(path[0])
    values = [value for value in (element or {}).get("Value", ()) if value is not None]
    if len(path) == 1:
        return values
    return [found for item in values if isinstance(item, dict) for found in find_values(item, path[1:])]


def to_text(vr: str, values: Sequence[Any]) -> str:
    r"""`values` as a column holds them: one as it is, names and several between backslashes: \DOE^JANE\."""
    texts = [text for value in values for text in to_texts(vr, value)]
    if vr == "PN" or len(texts) > 1:
        return MARK + MARK.join(texts) + MARK if texts else ""
    return texts[0] if texts else ""


def to_texts(vr: str, value: Any) -> list[str]:
    """A value of the model as texts to compare: each group of a name's components, without regard to case."""
    if vr == "PN":
        groups = value.values() if isinstance(value, dict) else [value]
        return [fold_name(group) for group in groups]
    return [fold(vr, str(value))]


def fold_name(text: str) -> str:
    """Case, and empty components at the end, do not tell names apart (PS3.4 C.2.2.2.1.1, PS3.5 6.2.1)."""
    return text.upper().rstrip("^ ")


def fold(vr: str, text: str) -> str:
    """Padding is no part of a value (PS3.5 6.2), and 7 is 7.0."""
    text = text.strip(" \0")
    if vr in ("IS", "DS"):
        try:
            return f"{float(text):g}" if "." in text or "e" in text.lower() else str(int(text))
        except ValueError:
            return text
    return text
