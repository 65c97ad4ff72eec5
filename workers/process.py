"""One claimed job from files to result objects: load, run, encode, put.

In:  a job CLAIMED by us.   Out: objects in the outbox and the job ENCODED, in one ledger step.
A crash anywhere here leaves the job CLAIMED until its lease runs out; the rerun makes the same objects.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from pydicom import Dataset

from node.config import Settings
from node.dicom.authorship import Authorship
from node.dicom.header import read_header
from node.dicom.output_gate import check_objects
from node.dicom.report import encode_refusal, encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.selection import choose_stack
from node.dicom.stack import Stack
from node.dicom.stacking import read_stacks
from node.dicom.volume import load_volume
from node.errors import CannotUnderstand
from node.ledger import Ledger
from node.model.delivery import ResultObject
from node.model.job import Job
from node.outbound.outbox import put_objects
from pipelines.pipeline import Progress
from pipelines.terms import Result, Volume, get_manifest
from workers.warm import Warm

T = TypeVar("T")


@dataclass(slots=True)
class Stopwatch:
    """Seconds per station."""

    seconds: dict[str, float] = field(default_factory=dict)

    def measure(self, station: str, work: Callable[[], T]) -> T:
        """Runs `work` and remembers how long it took."""
        start = time.perf_counter()
        try:
            return work()
        finally:
            self.seconds[station] = time.perf_counter() - start


def find_files(job: Job, settings: Settings, ledger: Ledger) -> list[Path]:
    """The image files of the job's series in the spool."""
    instances = ledger.find_instances(job.study_uid, job.series_uids)
    return [settings.spool / instance.path for instance in instances if instance.is_image]


def make_author(job: Job, settings: Settings) -> Authorship:
    """Who signs the objects of `job`."""
    created = datetime.fromtimestamp(job.created_at, UTC)
    return Authorship(job.id, get_manifest(job.pipeline), created, settings.node.ae_title)


def process_job(
    job: Job, settings: Settings, ledger: Ledger, warm: Warm, watch: Stopwatch, progress: Progress
) -> list[ResultObject]:
    """Result objects of `job`, in the outbox. Raises InputError, PipelineError, EncodingError."""
    author = make_author(job, settings)
    stack, volume, notes = watch.measure("load", lambda: _load(job, settings, ledger, author))
    model = watch.measure("warm", lambda: warm.get(job.pipeline))
    result = watch.measure("run", lambda: model.run(volume, progress))
    datasets = watch.measure("encode", lambda: encode_objects(stack, result, author, [*notes, *job.notes]))
    return watch.measure("put", lambda: put_objects(settings.outbox, job.id, datasets))


def refuse_job(job: Job, settings: Settings, ledger: Ledger, name: str, sentence: str) -> list[ResultObject]:
    """The "did not run" report of `job` in the outbox; nothing when not even a header can be read."""
    headers = []
    for path in find_files(job, settings, ledger):
        try:
            headers.append(read_header(path))
        except CannotUnderstand:
            continue
    if not headers:
        return []
    report = encode_refusal(headers, make_author(job, settings), name, sentence)
    return put_objects(settings.outbox, job.id, [report])


def encode_objects(stack: Stack, result: Result, author: Authorship, notes: Sequence[str]) -> list[Dataset]:
    """SEG (when a segment is not empty) and SR of `result`, checked against their source."""
    found = any(segment.mask.any() for segment in result.segments)
    segmentation = encode_segmentation(stack, result, author) if found else None
    report = encode_report(stack, result, author, segmentation, notes=notes)
    objects = [segmentation, report] if segmentation is not None else [report]
    check_objects(objects, stack.headers)
    return objects


def _load(job: Job, settings: Settings, ledger: Ledger, author: Authorship) -> tuple[Stack, Volume, tuple[str, ...]]:
    stacks, refusals = read_stacks(find_files(job, settings, ledger))
    stack, notes = choose_stack(stacks, refusals, author.manifest.requires, author.manifest.manufacturer)
    return stack, load_volume(stack), notes
