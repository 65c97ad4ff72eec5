"""`wetread demo`: studies through a real node to a stand-in PACS, and what the PACS received as table and picture."""

import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from node.demo.montage import montage
from node.demo.present import make_findings, make_seconds
from node.demo.review import SEGMENTATION, Review, review_jobs
from node.demo.stage import Stage, set_stage
from node.demo.studies import write_demo_studies
from node.dicom.identity import read_identity
from node.errors import CannotUnderstand, PeerUnreachable
from node.ledger import Ledger
from node.model.job import FINAL, State
from node.model.study import StudyState
from node.outbound.send import Sent, find_files, send_files
from node.oversight.overview import list_rows

DEFAULT_OUT = Path("demo-out")
PATIENCE = 1800.0
"""Seconds to wait for the last job: a CPU may need minutes for a large series."""


@dataclass(slots=True)
class Play:
    """The files to send, what their content truly measures (where we made them), and where results go."""

    paths: list[Path]
    others: list[Path]
    truth: Mapping[str, Mapping[str, float]]
    out: Path


@dataclass(slots=True)
class Account:
    """What came of a play. reasons: why there may be less than expected."""

    play: Play
    study_uids: list[str]
    reviews: list[Review]
    reasons: list[str]
    pictures: list[Path]

    def to_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "study_uid": self.study_uids[0] if self.study_uids else None,
            "study_uids": self.study_uids,
            "jobs": [review.to_dict() for review in self.reviews],
            "reason": "; ".join(self.reasons),
            "montages": [str(path) for path in self.pictures],
        }


def run_demo(study: Path | None, pipeline: str | None, out: Path | None, *, as_json: bool) -> int:
    """Returns the exit code: 0 only when there is a job and every job is CONFIRMED."""
    console = Console(stderr=as_json)
    folder = (out or DEFAULT_OUT).absolute()
    if out is None and (folder / "pacs").exists():
        shutil.rmtree(folder / "pacs")
    with tempfile.TemporaryDirectory(prefix="wetread-demo-") as name:
        account = _play(Path(name), study, pipeline, folder, console)
    if as_json:
        sys.stdout.write(json.dumps(account.to_dict(), indent=2) + "\n")
    else:
        _present(console, account)
    reviews = account.reviews
    return 0 if reviews and all(review.job.state == State.CONFIRMED for review in reviews) else 1


def _play(home: Path, study: Path | None, pipeline: str | None, folder: Path, console: Console) -> Account:
    if study is not None:
        play = Play(*find_files(study), truth={}, out=folder)
        if not play.paths:
            return Account(play, [], [], _explain_files(play), [])
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(_make_studies, home / "inputs", folder) if study is None else None
        with set_stage(home, _new_folder(folder / "pacs"), pipeline) as stage:
            node, (host, port) = stage.settings.node, stage.address
            console.print(f"Node {node.ae_title} at {host}:{port}, PACS beside it.")
            if made is not None:
                with console.status("Making a head MR from the MNI152 template and a chest CT phantom"):
                    play = made.result()
            return _perform(play, stage, console)


def _perform(play: Play, stage: Stage, console: Console) -> Account:
    """Sends, waits, looks at both ends, and draws while the node stops."""
    sent = _send(play, stage, console)
    study_uids = _study_uids(play.paths)
    refused = {path for path, _ in sent.refused}
    taken = [path for path in play.paths if path not in refused] if sent.taken else []
    _watch(stage, _study_uids(taken), console)
    reviews = review_jobs(stage.ledger, stage.pacs, study_uids)
    reasons = [*_explain_files(play), *_explain_refusals(stage, sent)]
    stage.dismiss()
    return Account(play, study_uids, reviews, reasons, _draw(reviews, play))


def _new_folder(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _make_studies(inputs: Path, folder: Path) -> Play:
    truth = write_demo_studies(_new_folder(inputs))
    return Play(*find_files(inputs), truth=truth, out=folder)


def _send(play: Play, stage: Stage, console: Console) -> Sent:
    title = stage.settings.node.ae_title
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("C-STORE to the node", total=len(play.paths))
        try:
            return send_files(play.paths, "DEMOSCU", stage.address, title, lambda *_: progress.advance(bar))
        except PeerUnreachable as error:
            console.print(f"[red]{error}[/red]")
            return Sent()


def _study_uids(paths: Sequence[Path]) -> list[str]:
    """The studies that the files name, in the order of the files; a file without identity names none."""
    uids: dict[str, None] = {}
    for path in paths:
        try:
            uids[read_identity(path).study_uid] = None
        except CannotUnderstand:
            continue
    return list(uids)


def _watch(stage: Stage, study_uids: Sequence[str], console: Console) -> None:
    """Until every study is complete and all its jobs are final."""
    patience = time.monotonic() + PATIENCE
    with console.status("waiting") as status:
        while time.monotonic() < patience:
            line, done = _look(stage.ledger, study_uids)
            if done:
                return
            status.update(line)
            time.sleep(0.2)
    console.print(f"[red]not finished after {PATIENCE:.0f} s[/red]; the node's log ends with:")
    console.print("\n".join(stage.log.read_text("utf-8", "replace").splitlines()[-20:]), highlight=False)


def _look(ledger: Ledger, study_uids: Sequence[str]) -> tuple[str, bool]:
    """(what is going on, whether all is over) with studies of which something was taken. The refusal reports of failed
    jobs count as under way until sent."""
    parts, done = [], True
    studies = {study.study_uid: study for study in ledger.find_studies()}
    for uid in study_uids:
        study = studies.get(uid)
        if study is None or study.state == StudyState.RECEIVING:  # rows follow the answers a moment later
            parts.append("a study is arriving")
            done = False
            continue
        for job in ledger.find_jobs(uid):
            open_ones = [d for d in ledger.find_deliveries(job.id) if d.state in {"PENDING", "SENT"}]
            parts.append(f"{job.pipeline} {job.state.value}")
            done &= job.state in FINAL and not open_ones
    return "  ".join(parts) or "waiting for the studies", done


def _explain_files(play: Play) -> list[str]:
    """Which files were not even sent."""
    reasons = [f"{len(play.others)} files are no DICOM files and were not sent"] if play.others else []
    return reasons if play.paths else [*reasons, "there is no DICOM file to send"]


def _explain_refusals(stage: Stage, sent: Sent) -> list[str]:
    """Why there may be less than expected: what the node refused, and studies without a job."""
    reasons = [f"{path.name}: refused by the node, {answer}" for path, answer in sent.refused]
    rows = [row for row in list_rows(stage.ledger) if row.state in {"NO JOB", "QUARANTINED"}]
    return reasons + [f"{row.state}: {row.reason}" for row in rows]


def _draw(reviews: Sequence[Review], play: Play) -> list[Path]:
    """A montage per SEG that the PACS received."""
    pictures = []
    for number, review in enumerate(reviews, 1):
        seg = review.find_path(SEGMENTATION)
        if seg is not None:
            out = play.out / f"{review.job.pipeline}-{number}.png"
            pictures.append(montage(seg, play.paths, out, review.job.pipeline))
    return pictures


def _present(console: Console, account: Account) -> None:
    reviews = account.reviews
    if any(review.findings for review in reviews):
        console.print(make_findings(reviews, account.play.truth))
    for review in reviews:
        for note in review.notes:
            console.print(f"[dim]{review.job.pipeline}: {escape(note)}[/dim]", highlight=False)
    if reviews:
        console.print(make_seconds(reviews))
    for review in reviews:
        if review.job.reason:
            console.print(f"[red]{review.job.pipeline}: {escape(review.job.reason)}[/red]", highlight=False)
    for reason in account.reasons:
        console.print(f"[yellow]{escape(reason)}[/yellow]", highlight=False)
    for picture in account.pictures:
        console.print(f"Picture of the SEG over the images: {picture}", soft_wrap=True, highlight=False)
    if any(review.objects for review in reviews):
        console.print(f"What the PACS received: {account.play.out / 'pacs'}", soft_wrap=True, highlight=False)
