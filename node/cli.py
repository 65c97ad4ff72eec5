"""`wetread`: the roles of a node, test sends, and what an administrator asks of the ledger.

Commands import what they alone need when they run: a role starts in a second.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path
from threading import Event
from typing import Annotated, NoReturn

import typer
from rich.console import Console

from node.bundles import app as pipelines
from node.check_dicomweb import check_dicomweb
from node.config import Settings, find_file
from node.config_commands import app as config
from node.errors import ConfigError, LostLease, UnknownJob, WetreadError
from node.evaluate import evaluate
from node.ledger import Ledger
from node.model.job import FINAL, TRANSITIONS, Priority, State
from node.options import ConfigFile, use_settings
from node.oversight.logs import set_up_logs
from node.supervisor.parent import die_with_parent
from node.web.access.commands import app as users
from node.web.viewer.commands import app as viewer
from node.webhooks import app as webhooks
from node.workers import workers

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
routes = typer.Typer(no_args_is_help=True, help="Try the routes.")
app.add_typer(routes, name="routes")
app.add_typer(config, name="config")
app.add_typer(pipelines, name="pipelines")
app.add_typer(users, name="users")
app.add_typer(webhooks, name="webhooks")
app.add_typer(viewer, name="viewer")
app.command()(workers)
app.command()(evaluate)
app.command("check-dicomweb")(check_dicomweb)
out = Console()

MOST_ROWS = 100
"""Jobs that a terminal is shown; a program that asks for JSON gets all."""


def main() -> None:
    """Entry point: errors that are foreseen end as one sentence and exit code 1."""
    try:
        app()
    except WetreadError as error:
        Console(stderr=True).print(f"[red]{type(error).__name__}[/red]: {error}", highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, ConfigError) else 1)


def _ledger(path: Path | None) -> tuple[Settings, Ledger]:
    """Raises ConfigError where no node ever ran: the question was meant for another home."""
    from node import wiring
    from node.premises import require_ledger

    settings = use_settings(path)
    require_ledger(settings, find_file(os.environ))
    return settings, wiring.open_ledger(settings)


def _until_signaled(role: str, work: Callable[[Event], object]) -> None:
    """Runs `work` with an event that TERM or INT sets."""
    set_up_logs(role)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    die_with_parent()
    work(stop)


@app.command()
def up(config_file: ConfigFile = None) -> None:
    """Run a whole node on this machine: broker, listener, web, workers, housekeeping; restart what dies."""
    from node.supervisor.supervisor import Supervisor

    settings = use_settings(config_file)
    _until_signaled("up", Supervisor(settings).run)


@app.command()
def listen(
    number: Annotated[int | None, typer.Option(hidden=True, help="one process of several on the port")] = None,
    config_file: ConfigFile = None,
) -> None:
    """Run the listener alone (one role, for containers): `listen.processes` processes on one port."""
    from node import wiring
    from node.supervisor.supervisor import run_listeners

    settings = use_settings(config_file)
    if number is None and settings.listen.processes > 1:
        _until_signaled("listen", partial(run_listeners, settings.listen.processes))
        return
    listener = wiring.make_listener(settings, number or 0)

    def serve(stop: Event) -> None:
        listener.start()
        stop.wait()
        listener.stop()

    _until_signaled("listen", serve)


@app.command()
def keep(config_file: ConfigFile = None) -> None:
    """Run housekeeping and delivery alone."""
    from node import wiring

    settings = use_settings(config_file)
    _until_signaled("keep", lambda stop: wiring.run_keeping(settings, stop))


@app.command()
def orders(config_file: ConfigFile = None) -> None:
    """Run the door for orders and patient updates (HL7 over MLLP) alone."""
    from node import wiring

    settings = use_settings(config_file)
    _until_signaled("orders", wiring.make_order_door(settings).run)


@app.command()
def web(config_file: ConfigFile = None) -> None:
    """Run the status page, health and metrics alone."""
    from node import wiring

    settings = use_settings(config_file)
    _until_signaled("web", lambda stop: wiring.run_web(settings, stop))


@app.command()
def work(config_file: ConfigFile = None) -> NoReturn:
    """Run the workers alone."""
    use_settings(config_file)
    os.execv(sys.executable, [sys.executable, "-m", "workers"])  # noqa: S606  this floor may not import the workers


@app.command()
def demo(
    study: Annotated[Path | None, typer.Option(help="a folder of DICOM files instead of the two demo studies")] = None,
    pipeline: Annotated[str | None, typer.Option(help="send everything to this pipeline")] = None,
    out_folder: Annotated[Path | None, typer.Option("--out", help="keep what the PACS received here")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")] = False,
) -> None:
    """Send studies through a real node to a stand-in PACS, and show what the PACS received."""
    from node.demo.command import run_demo

    sys.exit(run_demo(study, pipeline, out_folder, as_json=as_json))


@app.command()
def send(
    place: Annotated[Path, typer.Argument(help="a file or a folder", exists=True)],
    to: Annotated[str, typer.Option(help="host:port; this node by default")] = "",
    called: Annotated[str, typer.Option(help="called AE title; this node's by default")] = "",
    calling: Annotated[str, typer.Option(help="calling AE title")] = "WETREADSCU",
    config_file: ConfigFile = None,
) -> None:
    """Send DICOM files by C-STORE, as a scanner would."""
    from rich.progress import Progress

    from node.outbound.send import find_files, send_files

    settings = use_settings(config_file)
    host, port = (to or settings.node.listen).rsplit(":", 1)
    near = "127.0.0.1" if host == "0.0.0.0" else host  # noqa: S104  compared, not bound
    paths, others = find_files(place)
    with Progress(console=out, transient=True) as progress:
        bar = progress.add_task("C-STORE", total=len(paths))
        title = called or settings.node.ae_title
        sent = send_files(paths, calling, (near, int(port)), title, lambda *_: progress.advance(bar))
    out.print(f"{sent.taken} of {len(paths)} taken; {len(others)} files are no DICOM")
    for path, answer in sent.refused:
        out.print(f"[red]refused[/red] {path.name}: {answer}", highlight=False)
    if sent.refused or not sent.taken:
        raise typer.Exit(1)


@app.command()
def jobs(
    what: Annotated[str, typer.Argument(help="how a study uid or a job id begins")] = "",
    state: Annotated[str, typer.Option(help="only this state")] = "",
    accession: Annotated[str, typer.Option(help="only studies of this accession number")] = "",
    most: Annotated[int | None, typer.Option(min=0, help="the newest so many; 0 for all, as --json does")] = None,
    as_json: Annotated[bool, typer.Option("--json")] = False,
    config_file: ConfigFile = None,
) -> None:
    """List jobs, studies that made none, and what is in quarantine: the answer to "where is my study?"."""
    from node.oversight.overview import STATES, list_rows
    from node.tables import make_rows
    from node.web.dicomweb.accession import ask_index

    if state not in {"", *STATES}:
        raise ConfigError(f"no state {state!r}; there are: {', '.join(STATES)}")
    settings, ledger = _ledger(config_file)
    rows = [row for row in list_rows(ledger) if state in {"", row.state}]
    rows = [row for row in rows if row.study_uid.startswith(what) or row.job_id.startswith(what)]
    if accession:
        among = ask_index(settings.node.home, accession)
        rows = [row for row in rows if row.study_uid in among]
    if most is None:
        most = 0 if as_json else MOST_ROWS
    shown = rows[: most or None]
    if as_json:
        out.print_json(data=[row.to_dict() for row in shown])
        return
    out.print(make_rows(shown))
    if more := len(rows) - len(shown):
        out.print(f"and {more} older: --most 0 shows all, a state or the beginning of a uid fewer")


@app.command()
def show(job: Annotated[str, typer.Argument(help="a job id or its beginning")], config_file: ConfigFile = None) -> None:
    """Show one job: its whole history with times, its objects and where each was delivered."""
    from node.tables import find_job, make_history

    settings, ledger = _ledger(config_file)
    out.print(make_history(ledger, find_job(ledger, job), settings.outbox))


@app.command()
def retry(
    job: Annotated[str, typer.Argument(help="a job id or its beginning; empty with --failed")] = "",
    failed: Annotated[bool, typer.Option("--failed", help="every failed job")] = False,
    peer: Annotated[str, typer.Option("--peer", help="every failed job of which this peer refused an object")] = "",
    config_file: ConfigFile = None,
) -> None:
    """Queue a failed job again: the same inputs, the same result uids."""
    from node.tables import find_failed, find_job

    if not (job or failed or peer):
        raise UnknownJob("which job? its id, or --failed for all that failed, or --peer NAME")
    settings, ledger = _ledger(config_file)
    if peer and peer not in settings.peers:
        raise ConfigError(f"no peer {peer!r}; there are: {', '.join(sorted(settings.peers)) or 'none'}")
    for one in find_failed(ledger, peer) if failed or peer else [find_job(ledger, job)]:
        if one.state != State.FAILED:
            hint = "it is final" if one.state in FINAL else "it is still on its way"
            raise UnknownJob(f"job {one.id} is {one.state}, only a FAILED job is queued again: {hint}")
        if one.superseded_by:
            raise UnknownJob(f"job {one.id} is superseded by job {one.superseded_by}, which speaks for the study")
        try:
            ledger.move_job(one, State.QUEUED, time.time(), "retry", "an operator asked for it")
            out.print(f"{one.id} queued")
        except LostLease as error:
            out.print(str(error))


@app.command()
def resend(
    job: Annotated[str, typer.Argument(help="a job id or its beginning")],
    peer: Annotated[str, typer.Option("--peer", help="to this destination alone")] = "",
    config_file: ConfigFile = None,
) -> None:
    """Send the results of a CONFIRMED or FAILED job again: the same objects, the same uids. Nothing is computed. Of an
    ENCODED job, whose peer was away, what waits is tried at once."""
    from node.outbound.resend import resend as send_again
    from node.tables import find_job

    settings, ledger = _ledger(config_file)
    one = find_job(ledger, job)
    word = "at once" if one.state == State.ENCODED else "again"
    try:
        out.print(f"{one.id}: {send_again(ledger, one, settings.outbox, peer)} objects will be sent {word}")
    except LostLease as error:
        raise UnknownJob(f"{error}: look again") from error


@app.command()
def peers(as_json: Annotated[bool, typer.Option("--json")] = False, config_file: ConfigFile = None) -> None:
    """Show how each peer is: last heard from, last answer, circuit, and what waits for it."""
    from node.oversight.peers import list_peers
    from node.tables import make_peer_rows

    rows = list_peers(*_ledger(config_file))
    if as_json:
        out.print_json(data=[row.to_dict() for row in rows])
    else:
        out.print(make_peer_rows(rows))


@app.command()
def cancel(
    job: Annotated[str, typer.Argument(help="a job id or its beginning")], config_file: ConfigFile = None
) -> None:
    """Cancel a job that has not reached a destination as a whole: what was not sent yet never will be."""
    from node.tables import find_job

    _, ledger = _ledger(config_file)
    one = find_job(ledger, job)
    if State.CANCELED not in TRANSITIONS[one.state]:
        raise UnknownJob(f"job {one.id} is {one.state} and cannot be canceled any more")
    ledger.move_job(one, State.CANCELED, time.time(), "cancel", "an operator asked for it")
    out.print(f"{one.id} canceled")


@app.command()
def priority(
    job: Annotated[str, typer.Argument(help="a job id or its beginning")],
    to: Annotated[Priority, typer.Argument(help="stat, routine or off-peak")],
    config_file: ConfigFile = None,
) -> None:
    """Change how urgent a waiting job is: the next free worker of its lane takes the most urgent one."""
    from node.tables import find_job

    _, ledger = _ledger(config_file)
    one = find_job(ledger, job)
    ledger.set_priority(one, to, time.time())
    out.print(f"{one.id} {one.priority} -> {to}")


@app.command()
def complete(
    study: Annotated[str, typer.Argument(help="a Study Instance UID or its beginning")], config_file: ConfigFile = None
) -> None:
    """Close a study that waits for images, and process what is there. Images that come later open its next version."""
    from node.model.expectation import Expectation, Kind
    from node.tables import find_open_study

    _, ledger = _ledger(config_file)
    one = find_open_study(ledger, study)
    ledger.put_expectation(Expectation(one.study_uid, Kind.OPERATOR, "", time.time()))
    out.print(f"{one.study_uid} will be closed{': ' + one.waits if one.waits else ''}", highlight=False, soft_wrap=True)


@routes.command("test")
def test_routes(
    folder: Annotated[Path, typer.Argument(exists=True, help="images of a study, or of several")],
    config_file: ConfigFile = None,
) -> None:
    """Say for the images in a folder which routes would make a job, and which condition the others miss by which
    value. Nothing is stored or sent."""
    from node.inbound.trial import try_routes
    from node.tables import make_verdicts

    out.print(make_verdicts(list(try_routes(use_settings(config_file), folder))))


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="where the copies go; made when it is not there")],
    config_file: ConfigFile = None,
) -> None:
    """Copy the ledger, the worklist and the orders as they are now, while the node runs."""
    from node.backup import back_up

    try:
        copies = back_up(use_settings(config_file), folder)
    except (OSError, ValueError) as error:
        raise ConfigError(f"no backup was written to {folder}: {error}") from error
    for copy in copies:
        out.print(f"{copy}: {copy.stat().st_size / 1e6:.1f} MB", highlight=False, soft_wrap=True)


@app.command()
def doctor(config_file: ConfigFile = None) -> None:
    """Check this installation: folders, ledger, broker, door, peers, device, weights, viewer."""
    from node import wiring
    from node.doctor import examine
    from node.web.viewer.examine import examine_viewer

    settings = use_settings(config_file)
    ledger = wiring.open_ledger(settings)
    ill = 0
    for check in chain(examine(settings, ledger), map(examine_viewer, [settings])):
        ill += not check.well
        mark = "[green]well[/green]" if check.well else "[red]ill [/red]"
        out.print(f"{mark} {check.what}: {check.seen}", highlight=False, soft_wrap=True)
    raise typer.Exit(1 if ill else 0)


if __name__ == "__main__":
    main()
