"""Which earlier studies are priors, and the files of those that a job has.

What a peer answers is a proposal: whether a study is of the same patient, earlier, recent enough and of the right kind
is decided here, once on its answer and again on the images that came.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path

from pydicom import Dataset

from node.config import Settings
from node.dicom.header import find_value
from node.errors import PriorMissing
from node.inbound.conditions import find_mismatch
from node.ledger import Ledger
from node.model.archive import FoundSeries, FoundStudy
from node.model.job import Gathering, Job
from node.sections import Gather

NOBODY = re.compile(
    r"[0\W_]*|\W*(anon\w*|unknown|none|null|nil|n/?a|test\w*|patient|noid|no id|dummy|phantom|x{3,})\W*\d*", re.I
)
"""Patient IDs that stand for no one, or for everyone: what is found under them is somebody else's."""
STRANGER = "of another patient"


@dataclass(frozen=True, slots=True)
class Subject:
    """Of whom and when the study of a job is: read from its images when it is needed, kept nowhere, never shown.

    moment: DA and TM of the study.
    """

    study_uid: str
    patient_id: str = field(repr=False)
    issuer: str = field(repr=False)
    birth_date: str = field(repr=False)
    moment: tuple[str, str] = field(repr=False)
    modality: str


def read_subject(header: Dataset) -> Subject:
    """The subject of the study that `header` belongs to. Raises PriorMissing when nobody could find it again."""
    patient_id, day = _text(header, "PatientID"), _text(header, "StudyDate")
    if NOBODY.fullmatch(patient_id):
        raise PriorMissing("no prior sought: the Patient ID is empty or names nobody")
    if to_date(day) is None:
        raise PriorMissing("no prior sought: the study has no Study Date")
    return Subject(
        _text(header, "StudyInstanceUID"),
        patient_id,
        _text(header, "IssuerOfPatientID"),
        _text(header, "PatientBirthDate"),
        (day, _text(header, "StudyTime")),
        _text(header, "Modality"),
    )


def choose_studies(found: Iterable[FoundStudy], subject: Subject, rules: Gather) -> list[FoundStudy]:
    """Those that are of the same patient, earlier and recent enough, the newest first. What the peer did not answer of
    modalities and descriptions is left to its series and images."""
    fits = {study.study_uid: study for study in found if _is_earlier(study, subject, rules)}
    modality = rules.modality or subject.modality
    right = [study for study in fits.values() if not study.modalities or modality in study.modalities]
    return sorted(right, key=lambda study: (study.date, study.time), reverse=True)


def find_earliest(subject: Subject, rules: Gather) -> str:
    """The date (DA) before which a study is too old."""
    day = to_date(subject.moment[0]) or date.max
    return (day - rules.within).strftime("%Y%m%d") if day - date.min > rules.within else "00010101"


def choose_series(
    found: Iterable[FoundSeries], study: FoundStudy, subject: Subject, rules: Gather
) -> list[FoundSeries]:
    """The series of `study` that fit: by modality, by body part where it is said, by description."""
    modality = rules.modality or subject.modality
    return [
        one
        for one in found
        if one.series_uid
        and one.modality == modality
        and (not one.body_part or not rules.body_part or _is_same(one.body_part, rules.body_part))
        and _is_described(rules, study.description, one.description)
    ]


def find_fault(header: Dataset, subject: Subject, rules: Gather) -> str | None:
    """Why an image that came is of no prior of `subject`; None when it is of one."""
    study = FoundStudy(
        _text(header, "StudyInstanceUID"),
        _text(header, "PatientID"),
        _text(header, "IssuerOfPatientID"),
        _text(header, "StudyDate"),
        _text(header, "StudyTime"),
        (),
        _text(header, "StudyDescription"),
    )
    born = _text(header, "PatientBirthDate")
    if study.patient_id != subject.patient_id or (born and subject.birth_date and born != subject.birth_date):
        return STRANGER
    if not _is_earlier(study, subject, rules):
        return "not earlier, or too old"
    if _text(header, "Modality") != (rules.modality or subject.modality):
        return "of another modality"
    if rules.body_part and not _is_same(_text(header, "BodyPartExamined"), rules.body_part):
        return "of another part of the body, or it does not say of which"
    if not _is_described(rules, study.description, _text(header, "SeriesDescription")):
        return "described otherwise"
    return None


def find_age(earlier: str, later: str) -> str:
    """How long before `later` (DA) `earlier` was, in words that tell neither: "14 months before"."""
    first, second = to_date(earlier), to_date(later)
    days = (second - first).days if first and second else 0
    for unit, length, least in (("year", 365.25, 2), ("month", 30.44, 2), ("week", 7, 2), ("day", 1, 1)):
        if days >= least * length:
            count = int(days / length)
            return f"{count} {unit}{'s' * (count > 1)} before"
    return "the same day, before"


def to_date(text: str) -> date | None:
    """A DA value; None when it is none."""
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None


def find_prior_files(job: Job, settings: Settings, ledger: Ledger) -> dict[str, list[Path]]:
    """Study Instance UID -> image files in the spool of each prior of `job`, the newest study first."""
    found = {uid: [one for one in ledger.find_instances(uid) if one.is_image] for uid in job.priors}
    return {uid: [settings.spool / one.path for one in instances] for uid, instances in found.items() if instances}


def check_priors(job: Job, required: bool = False) -> None:
    """Raises PriorMissing when the route of `job` requires a prior that was not found, or when its pipeline does
    (`required`) and there is none."""
    said = job.notes[-1] if job.notes else ""
    if job.gathering == Gathering.MISSING:
        raise PriorMissing(f"the route requires a prior; {said or 'none was found'}")
    if required and not job.priors:
        why = said if job.gathering != Gathering.NONE and said else "its route gathers none (gather.priors)"
        raise PriorMissing(f"{job.pipeline} compares with an earlier study; {why}")


def _is_earlier(study: FoundStudy, subject: Subject, rules: Gather) -> bool:
    if study.patient_id != subject.patient_id or not study.study_uid or study.study_uid == subject.study_uid:
        return False
    if study.issuer and subject.issuer and study.issuer != subject.issuer:
        return False
    first, second = to_date(study.date), to_date(subject.moment[0])
    if first is None or second is None or second - first > rules.within:
        return False
    return (study.date, study.time) < subject.moment


def _is_same(one: str, other: str) -> bool:
    return one.strip().upper() == other.strip().upper()


def _is_described(rules: Gather, *descriptions: str) -> bool:
    """True when the description of the study or of the series meets the condition."""
    if rules.description is None:
        return True
    header = Dataset()
    header.SeriesDescription = [text for text in descriptions if text]
    return find_mismatch({"SeriesDescription": rules.description}, header) is None


def _text(header: Dataset, keyword: str) -> str:
    value = find_value(header, keyword)
    return "" if value is None else str(value).strip()
