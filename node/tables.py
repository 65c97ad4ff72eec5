"""What the command line shows of the ledger, as rich tables."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from node.config import Settings
from node.conformance import name_uid
from node.errors import UnknownJob, UnknownStudy
from node.inbound.trial import Verdict
from node.ledger import Ledger
from node.model.delivery import DeliveryState
from node.model.job import Job, State
from node.model.study import Study, StudyState
from node.oversight.overview import Row
from node.oversight.peers import PeerRow
from node.oversight.waiting import describe_job
from node.sections import Callers, CountBy, Peer
from pipelines.terms import Manifest

OTHERS = {
    Callers.NONE: "refused",
    Callers.LOOPBACK: "may send from this machine alone",
    Callers.ANY: "may send, from anywhere",
}
MOST_NAMED = 100
"""Jobs that begin alike are counted no further."""
COLORS = {"CONFIRMED": "green", "FAILED": "red", "QUARANTINED": "red", "NO JOB": "yellow", "CANCELED": "yellow"}


def find_job(ledger: Ledger, beginning: str) -> Job:
    """The one job whose id begins so, or the one that speaks for the study with that uid. Raises UnknownJob when there
    is none or more than one."""
    found = ledger.find_beginning(beginning, MOST_NAMED) if beginning else []
    if not found and beginning:
        found = [job for job in ledger.find_jobs(beginning) if not job.superseded_by]
    if len(found) != 1:
        count = f"{len(found)} or more" if len(found) == MOST_NAMED else str(len(found))
        raise UnknownJob(f"{count} jobs begin with {beginning!r} or are of that study; `wetread jobs` lists them")
    return found[0]


def find_open_study(ledger: Ledger, beginning: str) -> Study:
    """The one study that is RECEIVING whose uid begins so. Raises UnknownStudy when there is none or more than one."""
    studies = ledger.find_studies(StudyState.RECEIVING) if beginning else []
    found = [study for study in studies if study.study_uid.startswith(beginning)]
    exact = [study for study in found if study.study_uid == beginning]
    if len(exact or found) != 1:
        raise UnknownStudy(f"{len(found)} open studies begin with {beginning!r}; `wetread jobs` lists them")
    return (exact or found)[0]


def find_failed(ledger: Ledger, peer: str = "") -> list[Job]:
    """The FAILED jobs that no later version replaces, or those of them of which `peer` refused an object."""
    failed = [job for job in ledger.find_jobs(states=[State.FAILED]) if not job.superseded_by]
    if not peer:
        return failed
    refused = {d.job_id for d in ledger.find_deliveries(destination=peer, states=[DeliveryState.REFUSED])}
    return [job for job in failed if job.id in refused]


def make_rows(rows: Sequence[Row]) -> Group:
    """The overview: a line each, its study and its reason below it."""
    wide = max([13, *(len(row.pipeline) for row in rows)]) + 2
    lines: list[Text | Padding] = [
        Text(f"{'State':12}{'Pipeline':{wide}}{'Job':14}Since (UTC); below: study, reason, evidence", "bold")
    ]
    for row in rows:
        line = Text(f"{row.state:12}", COLORS.get(row.state, ""))
        line.append(f"{row.pipeline:{wide}}{row.job_id[:12]:14}{row.since[:19]}", "default")
        lines.append(line)
        below = [row.study_uid] if row.study_uid else []
        for text in [*below, *(text for text in (row.reason, row.evidence) if text)]:
            lines.append(Padding(Text(text, "dim", overflow="fold"), (0, 0, 0, 12)))
    return Group(*lines)


def make_verdicts(verdicts: Sequence[Verdict]) -> Group:
    """What each route would do with each study, series by series."""
    lines: list[Text | Padding] = []
    for verdict in verdicts:
        lines.append(Text(f"study {verdict.study_uid}", "dim", overflow="fold"))
        head = Text(f"route {verdict.route!r}: ")
        mark = f"a job for {verdict.pipeline}" if verdict.makes_job else "no job"
        lines.append(head.append(mark, "green" if verdict.makes_job else "yellow"))
        told = [f"series {uid}: {fault or 'matches'}" for uid, fault in verdict.series.items()]
        told += [*verdict.needs, *([verdict.answer] if verdict.answer else [])]
        lines += [Padding(Text(text, overflow="fold"), (0, 0, 0, 4)) for text in told]
    return Group(*lines)


def make_history(ledger: Ledger, job: Job, outbox: Path) -> Group:
    """Everything the ledger knows of `job`."""
    head = Text(
        f"{job.id}  {job.state}  {job.pipeline} on study {job.study_uid} by route {job.route!r}", overflow="fold"
    )
    head.append(f"\nversion {job.version} of the study")
    if said := describe_job(job, {one.id: one for one in ledger.find_jobs(job.study_uid)}):
        head.append(f"\n{said}", "red" if job.reason else "yellow")
    history = _make_table("History", "When (UTC)", "State", "What", "Seconds")
    for event in ledger.find_history(job.id):
        seconds = ", ".join(f"{name} {value:.2f}" for name, value in event.seconds.items())
        when = datetime.fromtimestamp(event.at, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        history.add_row(when, event.state, Text(f"{event.station}: {event.text}"), seconds)
    objects = _make_table("Objects", "Object", "File")
    for item in ledger.find_objects(job.id):
        objects.add_row(item.modality, str(outbox / item.path))
    sent = _make_table("Deliveries", "To", "Object", "State", "Tries", "Last answer")
    for delivery in ledger.find_deliveries(job.id):
        took = f"; it took this with {delivery.note}" if delivery.note not in delivery.answer else ""
        answer = Text(delivery.answer + took)
        sent.add_row(delivery.destination, delivery.object.modality, delivery.state, str(delivery.attempts), answer)
    return Group(head, history, objects, sent, *_make_messages(ledger, job))


def _make_messages(ledger: Ledger, job: Job) -> list[Table]:
    """Who is told of `job`; no table where nobody is."""
    messages = ledger.find_messages(job.id)
    table = _make_table("Messages", "To", "Of", "State", "Tries", "Control id", "Last answer")
    for one in messages:
        told = (one.destination, one.subject, one.state, str(one.attempts), one.control_id, Text(one.answer))
        table.add_row(*told)
    return [table] if messages else []


def _make_table(title: str, *columns: str) -> Table:
    table = Table(box=None, header_style="bold", title=title, title_justify="left")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def make_pipelines(manifests: Sequence[Manifest]) -> Group:
    """The installed pipelines, a paragraph each."""
    paragraphs = []
    for m in manifests:
        table = Table(title=f"{m.name} {m.version}: {m.title}", title_justify="left", box=None, show_header=False)
        table.add_row("reads", m.requires.in_words())
        table.add_row("gives", ", ".join(code.meaning for code in m.gives))
        if m.lacks:
            table.add_row("[yellow]needs concepts[/yellow]", f"{', '.join(m.lacks)}: jobs are refused until they have")
        table.add_row("for", m.intended_use)
        table.add_row("not for", m.not_for)
        table.add_row("weights", f"sha256 {m.weights_sha256}")
        paragraphs.append(table)
    return Group(*paragraphs)


def make_peer_rows(rows: Sequence[PeerRow]) -> Group:
    """How each peer is: a paragraph each."""
    paragraphs: list[Text | Table] = []
    for row in rows:
        open_ = f"open since {_when(row.opened_at)} after {row.failures} failures, next try {_when(row.next_at)}"
        oldest = f", the oldest since {_when(row.oldest_at)}" if row.oldest_at else ""
        table = Table(box=None, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("direction", row.direction or "none")
        table.add_row("last heard from", _when(row.heard_at))
        table.add_row("last answer", Text(row.answer or "none yet"))
        table.add_row("circuit", Text(open_, "red") if row.circuit == "open" else Text("closed", "green"))
        table.add_row("backlog", f"{row.waiting} to send, {row.unconfirmed} to confirm{oldest}")
        paragraphs += [Text(row.name, "bold"), table]
    return Group(*paragraphs)


def _when(at: float | None) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if at else "never"


def make_peers(settings: Settings) -> Group:
    """Who may send what from where, and how each confirms our results: a paragraph per peer, and all others."""
    paragraphs: list[Text | Table] = []
    for name, peer in settings.peers.items():
        address = f"{peer.address} by TLS" if peer.tls else peer.address
        at = " and ".join(place for place in (address, peer.dicomweb) if place)
        paragraphs += [Text(f"{name}: {peer.ae_title} at {at}", "bold"), _make_peer(peer)]
    others = settings.listen.unknown_callers
    return Group(*paragraphs, Text(f"others ({others.value}): {OTHERS[others]}"))


def _make_peer(peer: Peer) -> Table:
    table = Table(box=None, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    networks = [str(net.network_address if net.num_addresses == 1 else net) for net in peer.networks]
    for key, value in (
        ("may send", "yes" if peer.send else "no"),
        ("calls from", ", ".join(networks) or "its address"),
        ("TLS name", peer.tls_name or "not asked for"),
        ("SOP classes", ", ".join(map(name_uid, peer.sop_classes)) or "all"),
        ("transfer syntaxes", ", ".join(map(name_uid, peer.transfer_syntaxes)) or "all"),
        ("confirms by", peer.confirm.value),
        *([("counts by", peer.count_by.value)] if peer.count_by != CountBy.NONE else []),
    ):
        table.add_row(key, Text(value))
    return table
