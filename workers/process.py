"""One claimed job from files to result objects: load, run, encode, put.

In:  a job CLAIMED by us.   Out: objects in the outbox and the job ENCODED, in one ledger step.
A crash anywhere here leaves the job CLAIMED until its lease runs out; the rerun makes the same objects.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import TypeVar

from node.config import Settings
from node.dicom.authorship import Authorship
from node.dicom.find_stack import find_stack
from node.dicom.header import read_header
from node.dicom.output_gate import check_objects
from node.dicom.refusal import find_reason
from node.dicom.refusal_capture import encode_refusal_capture
from node.dicom.report import encode_refusal
from node.dicom.stack import Stack
from node.dicom.succession import state_version
from node.dicom.upright import make_upright
from node.dicom.volume import load_volume
from node.errors import CannotUnderstand, ConfigError, NoMatchingSeries, OutboxUnwritable
from node.inbound.priors import check_priors
from node.ledger import Ledger
from node.ledger.versions import find_predecessors
from node.model.delivery import Kind, ResultObject
from node.model.job import Gathering, Job, Late
from node.orders.book import OrderBook
from node.outbound.outbox import Shelf, put_objects
from node.sections import Peer
from pipelines.pipeline import ContextModel, Model, Progress
from pipelines.steps.axes import with_axes
from pipelines.terms import Result, Volume, get_manifest
from workers.context import Surroundings
from workers.explaining import explain, find_way
from workers.look import check_pixels
from workers.objects import Answer, encode_objects
from workers.warm import Warm

T = TypeVar("T")


@dataclass(slots=True)
class Stopwatch:
    """Seconds per station. enter: told the name of each station as it begins."""

    seconds: dict[str, float] = field(default_factory=dict)
    enter: Callable[[str], None] | None = None

    def measure(self, station: str, work: Callable[[], T]) -> T:
        """Runs `work` and remembers how long it took."""
        if self.enter is not None:
            self.enter(station)
        start = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds[station] = time.perf_counter() - start


def find_files(job: Job, settings: Settings, ledger: Ledger) -> list[Path]:
    """The image files of the job's series in the spool; without those that came after it was made, where it stays
    beside the job of a later version."""
    until = inf if job.late == Late.REPLACE or job.gathering != Gathering.NONE else job.created_at
    instances = ledger.find_instances(job.study_uid, job.series_uids)
    return [settings.spool / one.path for one in instances if one.is_image and one.received_at <= until]


def make_author(job: Job, settings: Settings, ledger: Ledger) -> Authorship:
    """Who signs the objects of `job`, what they replace, and the order that they answer."""
    created = datetime.fromtimestamp(job.created_at, UTC)
    earlier = find_predecessors(job, ledger)
    order, manifest = OrderBook(settings.order_book).find_assigned(job.id), get_manifest(job.pipeline)
    return Authorship(job.id, manifest, created, settings.node.ae_title, job.version, earlier, order)


def find_destinations(job: Job, settings: Settings) -> dict[str, Peer]:
    """Where the results of `job` go. Raises ConfigError when one of them is no peer any more."""
    if gone := [name for name in job.deliver if name not in settings.peers]:
        raise ConfigError(f"route {job.route!r} delivers to {gone[0]!r}, which is not under [peers] any more")
    return {name: settings.peers[name] for name in job.deliver}


def process_job(
    job: Job, settings: Settings, ledger: Ledger, warm: Warm, watch: Stopwatch, progress: Progress
) -> tuple[list[ResultObject], dict[str, list[str]]]:
    """Result objects of `job`, in the outbox, and which of them each destination gets. Raises InputError,
    PipelineError, EncodingError, OutboxUnwritable."""
    author = make_author(job, settings, ledger)
    stack, volume, notes = watch.measure("load", lambda: _load(job, settings, ledger, author))
    model = watch.measure("warm", lambda: warm.get(job.pipeline))
    around = Surroundings(job, settings, ledger, stack, warm)
    upright = make_upright(stack, volume)
    result = watch.measure("run", lambda: _run(model, around, upright.volume, progress))
    if way := find_way(job, settings):
        result = watch.measure("explain", lambda: explain(model, upright.volume, result, way, progress, around.make))
    result = with_axes(upright.restore(result), volume.spacing)
    notes = (*notes, *state_version(author), *job.notes, *around.notes)
    answer = Answer(stack, volume, result, author, notes, tuple(around.stacks))
    peers = find_destinations(job, settings)
    with _keeping(), Shelf(settings.outbox, job.id) as shelf:
        made = watch.measure("encode", lambda: encode_objects(answer, peers, shelf.begin))
        objects = watch.measure("put", lambda: shelf.keep(made.datasets, made.substitutes))
    return objects, made.shares


def _run(model: Model, around: Surroundings, volume: Volume, progress: Progress) -> Result:
    if isinstance(model, ContextModel):
        return model.run_with(volume, around.make(), progress)
    return model.run(volume, progress)


def refuse_job(
    job: Job, settings: Settings, ledger: Ledger, name: str, sentence: str
) -> tuple[list[ResultObject], dict[str, list[str]]]:
    """The "did not run" report of `job` in the outbox, and the same as a picture where a destination wants pictures;
    and who is sent which (destination -> SOP Instance UIDs). Nothing when not even a header can be read. Raises
    EncodingError, OutboxUnwritable."""
    headers = []
    for path in find_files(job, settings, ledger):
        try:
            headers.append(read_header(path))
        except (CannotUnderstand, OSError):  # not to be read, or gone from the spool
            continue
    if not headers:
        return [], {}
    author = make_author(job, settings, ledger)
    report = encode_refusal(headers, author, name, sentence, reason=find_reason(name))
    known = {one: settings.peers[one] for one in job.deliver if one in settings.peers}
    watchers = {one for one, peer in known.items() if Kind.CAPTURE in peer.objects}
    pictures = [encode_refusal_capture(headers, author, name, sentence)] if watchers else []
    check_objects([report, *pictures], headers, author.predecessors)
    shares = {
        one: [str(ds.SOPInstanceUID) for ds in (report, *(pictures if one in watchers else ()))] for one in job.deliver
    }
    with _keeping():
        return put_objects(settings.outbox, job.id, [report, *pictures]), shares


@contextmanager
def _keeping() -> Iterator[None]:
    """Results are made and written in memory and in the outbox: what the system denies there, room may cure."""
    try:
        yield
    except OSError as error:
        raise OutboxUnwritable(f"the results cannot be written: {error.strerror or type(error).__name__}") from error


def _load(job: Job, settings: Settings, ledger: Ledger, author: Authorship) -> tuple[Stack, Volume, tuple[str, ...]]:
    files = find_files(job, settings, ledger)
    if not files:
        raise NoMatchingSeries("the images of this job are no longer in the spool")
    manifest = author.manifest
    check_priors(job, manifest.requires.prior)
    stack, notes = find_stack(files, manifest)
    volume = load_volume(stack)
    check_pixels(stack, volume, manifest.requires)
    return stack, volume, notes
