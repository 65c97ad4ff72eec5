"""Which attributes speak of a study, a series or an instance, and how their values are compared.

In:  DICOM JSON of an instance.   Out: the attributes of each level, and the values of those keys that have a column.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from pydicom.datadict import tag_for_keyword

from node.dicom.model_values import Model, find_values, find_vr, to_text


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

MULTIPLE = frozenset({"patient_name", "referring_physician", "modalities", "classes", "step_ids", "procedure_ids"})
"""Columns that may hold several values between backslashes."""


def find_level(path: Sequence[str]) -> Level:
    """Of which level the attribute at `path` (8 hexadecimal digits each, sequences first) speaks."""
    if path[0] in COMPUTED:
        return Level.STUDY
    return next((level for level, tags in OF_LEVEL.items() if path[0] in tags), Level.INSTANCE)


def find_column(level: Level, path: Sequence[str]) -> str | None:
    """The column of the key at `path`; None when it has none."""
    return COLUMNS[level].get(".".join(path))


def pick(model: Model, level: Level) -> dict[str, Any]:
    """The attributes of `level` in the model of an instance; UIDs of the levels above are no part of it."""
    return {tag: element for tag, element in model.items() if tag in OF_LEVEL[level]}


def find_columns(model: Model, level: Level) -> dict[str, str]:
    """{column: text to compare} of the keys of `level`, "" where absent."""
    paths = {column: path.split(".") for path, column in COLUMNS[level].items() if path not in COMPUTED}
    return {column: to_text(find_vr(path[-1]), find_values(model, path)) for column, path in paths.items()}
