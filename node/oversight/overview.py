"""One list that answers "where is my study?": jobs, studies that made none, and what is in quarantine."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from node.ledger import Ledger
from node.model.job import State
from node.model.study import StudyState
from node.oversight.waiting import describe_job

STATES = (*State, "RECEIVING", "NO JOB", "QUARANTINED")


@dataclass(frozen=True, slots=True)
class Row:
    """One line. state: a job's, or RECEIVING, NO JOB, QUARANTINED. since: ISO 8601, UTC. reason: why it is so, or for
    what it waits. evidence: why its study was closed."""

    state: str
    pipeline: str
    study_uid: str
    job_id: str
    since: str
    reason: str
    at: float
    evidence: str = ""

    def to_dict(self) -> dict[str, str]:
        """For JSON."""
        return {key: str(value) for key, value in asdict(self).items() if key != "at"}


def list_rows(ledger: Ledger) -> list[Row]:
    """Newest first."""
    studies = ledger.find_studies()
    evidence = {(study.study_uid, study.version): study.evidence for study in studies if study.closed_at is not None}
    rows = []
    jobs = {job.id: job for job in ledger.find_jobs()}
    for job in jobs.values():
        why = evidence.get((job.study_uid, job.version), "")
        told = "" if why in job.reason else why
        rows.append(_row(job.state, job.pipeline, job.study_uid, job.id, job.created_at, describe_job(job, jobs), told))
    for study in studies:
        if study.state == StudyState.RECEIVING:
            reason = study.waits or "images are still arriving"
            rows.append(_row("RECEIVING", "", study.study_uid, "", study.first_at, reason))
        elif study.reason:
            at = study.closed_at or study.last_at
            rows.append(_row("NO JOB", "", study.study_uid, "", at, study.reason, study.evidence))
    for item in ledger.find_quarantined():
        uid = f"instance {item.sop_instance_uid or 'without uid'} from {item.caller}: "
        rows.append(_row("QUARANTINED", "", "", "", item.at, uid + item.reason))
    return sorted(rows, key=lambda row: row.at, reverse=True)


def _row(state: str, pipeline: str, study_uid: str, job_id: str, at: float, reason: str, evidence: str = "") -> Row:
    since = datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
    return Row(str(state), pipeline, study_uid, job_id, since, reason, at, evidence)
