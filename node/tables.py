"""What the command line shows of the ledger, as rich tables."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from node.errors import UnknownJob
from node.ledger import Ledger
from node.model.job import Job
from node.oversight.overview import Row
from pipelines.terms import Manifest

COLORS = {"CONFIRMED": "green", "FAILED": "red", "QUARANTINED": "red", "NO JOB": "yellow", "CANCELED": "yellow"}


def find_job(ledger: Ledger, beginning: str) -> Job:
    """The one job whose id begins so. Raises UnknownJob when there is none or more than one."""
    found = [job for job in ledger.find_jobs() if job.id.startswith(beginning)] if beginning else []
    if len(found) != 1:
        raise UnknownJob(f"{len(found)} jobs begin with {beginning!r}; `wetread jobs` lists them")
    return found[0]


def make_rows(rows: Sequence[Row]) -> Table:
    """The overview."""
    table = Table(box=None, header_style="bold")
    for name in ("State", "Pipeline", "Study", "Job", "Since", "Reason"):
        table.add_column(name, overflow="fold")
    for row in rows:
        state = Text(row.state, COLORS.get(row.state, ""))
        table.add_row(state, row.pipeline, row.study_uid, row.job_id, row.since, Text(row.reason))
    return table


def make_history(ledger: Ledger, job: Job, outbox: Path) -> Group:
    """Everything the ledger knows of `job`."""
    head = Text(f"{job.id}  {job.state}  {job.pipeline} on study {job.study_uid} by route {job.route!r}")
    if job.reason:
        head.append(f"\n{job.reason}", "red")
    history = Table("When", "State", "Station", "What", "Seconds", box=None, header_style="bold", title="History")
    for event in ledger.find_history(job.id):
        seconds = ", ".join(f"{name} {value:.2f}" for name, value in event.seconds.items())
        when = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
        history.add_row(when, event.state, event.station, Text(event.text), seconds)
    objects = Table("Object", "SOP Instance UID", "File", box=None, header_style="bold", title="Objects")
    for item in ledger.find_objects(job.id):
        objects.add_row(item.modality, item.sop_instance_uid, str(outbox / item.path))
    sent = Table("To", "Object", "State", "Tries", "Last answer", box=None, header_style="bold", title="Deliveries")
    for delivery in ledger.find_deliveries(job.id):
        answer = Text(delivery.answer)
        sent.add_row(delivery.destination, delivery.object.modality, delivery.state, str(delivery.attempts), answer)
    return Group(head, history, objects, sent)


def make_pipelines(manifests: Sequence[Manifest]) -> Group:
    """The installed pipelines, a paragraph each."""
    paragraphs = []
    for m in manifests:
        table = Table(title=f"{m.name} {m.version}: {m.title}", title_justify="left", box=None, show_header=False)
        table.add_row("reads", f"{m.requires.modality}, at least {m.requires.min_planes} planes")
        table.add_row("gives", ", ".join(code.meaning for code in m.gives))
        table.add_row("for", m.intended_use)
        table.add_row("not for", m.not_for)
        table.add_row("weights", f"sha256 {m.weights_sha256}")
        paragraphs.append(table)
    return Group(*paragraphs)
