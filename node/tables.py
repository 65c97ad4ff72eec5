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
from node.errors import UnknownJob
from node.inbound.trial import Verdict
from node.ledger import Ledger
from node.model.delivery import DeliveryState
from node.model.job import Job, State
from node.oversight.overview import Row
from node.sections import Callers, Peer
from pipelines.terms import Manifest

OTHERS = {
    Callers.NONE: "refused",
    Callers.LOOPBACK: "may send from this machine alone",
    Callers.ANY: "may send, from anywhere",
}
COLORS = {"CONFIRMED": "green", "FAILED": "red", "QUARANTINED": "red", "NO JOB": "yellow", "CANCELED": "yellow"}


def find_job(ledger: Ledger, beginning: str) -> Job:
    """The one job whose id begins so. Raises UnknownJob when there is none or more than one."""
    found = [job for job in ledger.find_jobs() if job.id.startswith(beginning)] if beginning else []
    if len(found) != 1:
        raise UnknownJob(f"{len(found)} jobs begin with {beginning!r}; `wetread jobs` lists them")
    return found[0]


def find_failed(ledger: Ledger, peer: str = "") -> list[Job]:
    """The FAILED jobs, or those of them of which `peer` refused an object."""
    failed = ledger.find_jobs(states=[State.FAILED])
    if not peer:
        return failed
    refused = {d.job_id for d in ledger.find_deliveries(destination=peer, states=[DeliveryState.REFUSED])}
    return [job for job in failed if job.id in refused]


def make_rows(rows: Sequence[Row]) -> Group:
    """The overview: a line each, its study and its reason below it."""
    lines: list[Text | Padding] = [
        Text(f"{'State':12}{'Pipeline':15}{'Job':14}Since (UTC); below: study, reason", "bold")
    ]
    for row in rows:
        line = Text(f"{row.state:12}", COLORS.get(row.state, ""))
        line.append(f"{row.pipeline:15}{row.job_id[:12]:14}{row.since[:19]}", "default")
        lines.append(line)
        below = [row.study_uid] if row.study_uid else []
        for text in [*below, *([row.reason] if row.reason else [])]:
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
        told += [verdict.answer] if verdict.answer else []
        lines += [Padding(Text(text, overflow="fold"), (0, 0, 0, 4)) for text in told]
    return Group(*lines)


def make_history(ledger: Ledger, job: Job, outbox: Path) -> Group:
    """Everything the ledger knows of `job`."""
    head = Text(
        f"{job.id}  {job.state}  {job.pipeline} on study {job.study_uid} by route {job.route!r}", overflow="fold"
    )
    if job.reason:
        head.append(f"\n{job.reason}", "red")
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
        answer = Text(delivery.answer)
        sent.add_row(delivery.destination, delivery.object.modality, delivery.state, str(delivery.attempts), answer)
    return Group(head, history, objects, sent)


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
        table.add_row("reads", f"{m.requires.modality}, at least {m.requires.min_planes} planes")
        table.add_row("gives", ", ".join(code.meaning for code in m.gives))
        table.add_row("for", m.intended_use)
        table.add_row("not for", m.not_for)
        table.add_row("weights", f"sha256 {m.weights_sha256}")
        paragraphs.append(table)
    return Group(*paragraphs)


def make_peers(settings: Settings) -> Group:
    """Who may send what from where, and how each confirms our results: a paragraph per peer, and all others."""
    paragraphs: list[Text | Table] = []
    for name, peer in settings.peers.items():
        paragraphs += [Text(f"{name}: {peer.ae_title} at {peer.address}", "bold"), _make_peer(peer)]
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
    ):
        table.add_row(key, Text(value))
    return table
