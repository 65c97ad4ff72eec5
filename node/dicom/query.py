"""Query/Retrieve identifiers (PS3.4 C.6.2.1, Study Root): what is asked at each level, and what an answer says.

QIDO-RS answers with the same attributes (PS3.18 10.6), so one reading serves both.
"""

import re
from collections.abc import Sequence
from typing import Any

from pydicom import Dataset

from node.dicom.header import find_value
from node.model.archive import FoundInstance, FoundSeries, FoundStudy

STUDY_KEYS = (
    "StudyInstanceUID",
    "PatientID",
    "IssuerOfPatientID",
    "StudyDate",
    "StudyTime",
    "ModalitiesInStudy",
    "StudyDescription",
)
SERIES_KEYS = ("SeriesInstanceUID", "Modality", "BodyPartExamined", "SeriesDescription")
IMAGE_KEYS = ("SOPInstanceUID", "SOPClassUID")


def make_identifier(level: str, matching: dict[str, str | Sequence[str]], returned: Sequence[str] = ()) -> Dataset:
    """An identifier at `level` (STUDY, SERIES, IMAGE): matching keys with their values, the others to be answered."""
    identifier = Dataset()
    identifier.QueryRetrieveLevel = level
    for keyword in returned:
        setattr(identifier, keyword, "")
    for keyword, value in matching.items():
        setattr(identifier, keyword, list(value) if isinstance(value, tuple | list) else value)
    if not all(text.isascii() for value in matching.values() for text in value):
        identifier.SpecificCharacterSet = "ISO_IR 192"
    return identifier


def is_of(answer: Dataset, **uids: str) -> bool:
    """False when the answer says that it belongs elsewhere, which an archive that ignores what it is asked gives."""
    return all(_text(answer, keyword) in {"", uid} for keyword, uid in uids.items())


def to_study(answer: Dataset) -> FoundStudy:
    """What an answer at STUDY level says."""
    modalities = find_value(answer, "ModalitiesInStudy") or ()
    many = (modalities,) if isinstance(modalities, str) else tuple(modalities)
    return FoundStudy(
        study_uid=_uid(answer, "StudyInstanceUID"),
        patient_id=_text(answer, "PatientID"),
        issuer=_text(answer, "IssuerOfPatientID"),
        date=_text(answer, "StudyDate"),
        time=_text(answer, "StudyTime"),
        modalities=tuple(str(one).strip() for one in many),
        description=_text(answer, "StudyDescription"),
    )


def to_series(answer: Dataset) -> FoundSeries:
    """What an answer at SERIES level says."""
    return FoundSeries(_uid(answer, SERIES_KEYS[0]), *(_text(answer, keyword) for keyword in SERIES_KEYS[1:]))


def to_instance(answer: Dataset) -> FoundInstance:
    """What an answer at IMAGE level says."""
    return FoundInstance(*(_uid(answer, keyword) for keyword in IMAGE_KEYS))


def _uid(answer: Dataset, keyword: str) -> str:
    """It becomes part of requests and addresses: "" for what is no UID (PS3.5 9.1)."""
    text = _text(answer, keyword)
    return text if re.fullmatch(r"[0-9.]{1,64}", text) else ""


def _text(answer: Dataset, keyword: str) -> str:
    value: Any = find_value(answer, keyword)
    return "" if value is None else str(value).strip()
