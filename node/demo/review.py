"""What became of a study, told from both ends: the node's ledger, and the files that the PACS received."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydicom import dcmread

from node.demo.pacs import StandInPacs
from node.dicom.read_report import read_findings, read_notes, read_outcome
from node.ledger import Ledger
from node.model.job import Job
from pipelines.terms import Code

STATIONS = ("receive", "complete", "queue", "load", "warm", "run", "encode", "put", "deliver", "confirm")
STRUCTURED_REPORT = "SR"
SEGMENTATION = "SEG"


@dataclass(slots=True)
class Review:
    """One job as the demo shows it. objects: what the PACS holds of it; findings: read from the SR among them."""

    job: Job
    seconds: dict[str, float]
    objects: list[dict[str, str]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    outcome: str = ""
    notes: list[str] = field(default_factory=list)

    def find_path(self, modality: str) -> Path | None:
        """The file that the PACS received of this modality."""
        return next((Path(item["path"]) for item in self.objects if item["modality"] == modality), None)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "study_uid": self.job.study_uid,
            "pipeline": self.job.pipeline,
            "state": self.job.state.value,
            "reason": self.job.reason,
            "seconds": {station: round(value, 3) for station, value in self.seconds.items()},
            "objects": self.objects,
            "outcome": self.outcome,
            "notes": self.notes,
            "findings": self.findings,
        }


def review_jobs(ledger: Ledger, pacs: StandInPacs, study_uids: Sequence[str]) -> list[Review]:
    """Every job of the studies, in the order of the studies."""
    return [review_job(ledger, pacs.held, job) for uid in study_uids for job in reversed(ledger.find_jobs(uid))]


def review_job(ledger: Ledger, held: Mapping[str, Path], job: Job) -> Review:
    """`held`: SOP Instance UID -> file at the PACS."""
    review = Review(job, _seconds(ledger, job))
    for item in ledger.find_objects(job.id):
        path = held.get(item.sop_instance_uid)
        if path is None:
            continue
        dataset = dcmread(path)
        review.objects.append(
            {
                "modality": str(dataset.Modality),
                "sop_class_uid": str(dataset.SOPClassUID),
                "sop_instance_uid": str(dataset.SOPInstanceUID),
                "path": str(path),
            }
        )
        if dataset.Modality == STRUCTURED_REPORT:
            review.findings = [_plain(finding) for finding in read_findings(dataset)]
            review.outcome = read_outcome(dataset)
            review.notes = read_notes(dataset)
    return review


def _seconds(ledger: Ledger, job: Job) -> dict[str, float]:
    """Seconds per station; of a job that ran twice, the last."""
    study = next(study for study in ledger.find_studies() if study.study_uid == job.study_uid)
    seconds = {"receive": study.last_at - study.first_at}
    for event in ledger.find_history(job.id):
        seconds |= event.seconds
    return {station: seconds[station] for station in STATIONS if station in seconds}


def _plain(value: Any) -> Any:
    """Codes as dicts of value, scheme and meaning: what JSON can carry."""
    if isinstance(value, Code):
        return asdict(value)
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value
