"""One list that answers "where is my study?": jobs, studies that made none, and what is in quarantine."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from node.ledger import Ledger
from node.model.study import StudyState


@dataclass(frozen=True, slots=True)
class Row:
    """One line. state: a job's, or RECEIVING, NO JOB, QUARANTINED. since: ISO 8601, UTC."""

    state: str
    pipeline: str
    study_uid: str
    job_id: str
    since: str
    reason: str
    at: float

    def to_dict(self) -> dict[str, str]:
        """For JSON."""
        return {key: str(value) for key, value in asdict(self).items() if key != "at"}


def list_rows(ledger: Ledger) -> list[Row]:
    """Newest first."""
    rows = [
        _row(job.state, job.pipeline, job.study_uid, job.id, job.created_at, job.reason) for job in ledger.find_jobs()
    ]
    for study in ledger.find_studies():
        if study.state == StudyState.RECEIVING:
            rows.append(_row("RECEIVING", "", study.study_uid, "", study.first_at, "images are still arriving"))
        elif study.reason:
            rows.append(_row("NO JOB", "", study.study_uid, "", study.closed_at or study.last_at, study.reason))
    for item in ledger.find_quarantined():
        uid = f"instance {item.sop_instance_uid or 'without uid'} from {item.caller}: "
        rows.append(_row("QUARANTINED", "", "", "", item.at, uid + item.reason))
    return sorted(rows, key=lambda row: row.at, reverse=True)


def _row(state: str, pipeline: str, study_uid: str, job_id: str, at: float, reason: str) -> Row:
    since = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    return Row(str(state), pipeline, study_uid, job_id, since, reason, at)
