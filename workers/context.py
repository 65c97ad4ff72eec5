"""What a model that asks for it is told beside the volume: the priors of its job, and what the job before found.

Nothing is read for a model that has no `run_with`. Of each prior one header is read, to tell its age; its images only
when the model asks. What cannot be handed on is a sentence in the report, never a failed job.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydicom import dcmread
from pydicom.uid import Comprehensive3DSRStorage, SegmentationStorage

from node.config import Settings
from node.dicom.codes import WITHOUT_FINDINGS
from node.dicom.find_stack import find_stack
from node.dicom.header import DAMAGE, find_value, read_header
from node.dicom.kind import read_kind
from node.dicom.read_report import find_outcome
from node.dicom.read_segmentation import Unfit, read_segmentation
from node.dicom.stack import Stack
from node.dicom.upright import make_upright
from node.dicom.volume import load_volume
from node.errors import CannotUnderstand, InputError
from node.inbound.priors import find_age, find_prior_files, to_date
from node.ledger import Ledger
from node.ledger.dependencies import MADE, find_inputs
from node.model.delivery import ResultObject
from node.model.job import Job
from pipelines.errors import PipelineError
from pipelines.terms import Context, Manifest, PriorStudy, Segment, Volume, get_manifest
from workers.warm import Warm


class Surroundings:
    """The context of one job, and what became of it. notes: sentences for the report; stacks: of the priors that were
    read. Both are complete after the run.

    warm: the models of this child, of which one is asked what it finds in a prior that it has not seen.
    """

    def __init__(self, job: Job, settings: Settings, ledger: Ledger, stack: Stack, warm: Warm | None = None) -> None:
        self._job = job
        self._settings = settings
        self._ledger = ledger
        self._stack = stack
        self._warm = warm
        self.notes: list[str] = []
        self.stacks: list[Stack] = []
        self._made: Context | None = None

    def make(self) -> Context:
        """The context, the same whenever it is asked for. Raises DependencyFailed when the job comes after one that has
        no results any more."""
        if self._made is None:
            self._made = Context(self._find_priors(), *self._read_before(), read_kind(self._stack))
        return self._made

    def _find_priors(self) -> tuple[PriorStudy, ...]:
        found = find_prior_files(self._job, self._settings, self._ledger)
        manifest, later = get_manifest(self._job.pipeline), str(find_value(self._stack.first, "StudyDate") or "")
        priors = []
        for uid, files in found.items():
            try:
                earlier = str(find_value(read_header(files[0]), "StudyDate") or "")
            except (CannotUnderstand, FileNotFoundError):
                self.note("A prior study is no longer there.")
                continue
            days = count_days(earlier, later)
            if days is None:
                self.note("A prior study was not handed on: one of the two studies has no date.")
                continue
            prior = _Prior(self, uid, files, manifest, find_age(earlier, later))
            priors.append(PriorStudy(days, prior.load, prior.find))
        return tuple(priors)

    def _read_before(self) -> tuple[Mapping[str, Segment], bool]:
        """(segments, whether they are all that the job before found)."""
        objects = find_inputs(self._job, self._ledger)
        if not objects:
            return {}, False
        name = self.name_before()
        one = next((item for item in objects if item.sop_class_uid == SegmentationStorage), None)
        if one is None:
            self.note(f"No masks of {name} were handed on: there is no Segmentation of it.")
            return {}, self.found_nothing(objects)
        if not self._stack.is_upright:
            self.note(f"No masks of {name} were handed on: the images were resampled, its masks were not.")
            return {}, False
        try:
            return read_segmentation(self._settings.outbox / one.path, self._stack), True
        except FileNotFoundError:
            self.note(f"No masks of {name} were handed on: its Segmentation is no longer there.")
        except Unfit as error:
            self.note(f"No masks of {name} were handed on: {error}.")
        return {}, False

    def name_before(self) -> str:
        """The pipeline that this job comes after; "" when it comes after none."""
        return self._ledger.get_job(self._job.after).pipeline if self._job.after else ""

    def found_nothing(self, objects: Sequence[ResultObject]) -> bool:
        """Whether the report among `objects` says that it looked and found nothing."""
        for item in objects:
            if item.sop_class_uid == Comprehensive3DSRStorage:
                try:
                    return find_outcome(dcmread(self._settings.outbox / item.path)) == WITHOUT_FINDINGS
                except (*DAMAGE, OSError):
                    return False
        return False

    def find_made(self, study_uid: str) -> list[list[ResultObject]]:
        """What jobs of this pipeline, else of the one before it, made of an earlier study, the newest first."""
        names = [self._job.pipeline, self.name_before()]
        made = [job for job in self._ledger.find_jobs(study_uid, MADE) if job.pipeline in names]
        made.sort(key=lambda job: (-names.index(job.pipeline), job.version, job.created_at), reverse=True)
        return [self._ledger.find_objects(job.id) for job in made]

    def read(self, item: ResultObject, stack: Stack) -> Mapping[str, Segment]:
        """See read_segmentation."""
        return read_segmentation(self._settings.outbox / item.path, stack)

    def ask(self, volume: Volume) -> Mapping[str, Segment] | None:
        """What the model of the pipeline before finds in `volume`; None when it does not say it in segments."""
        if self._warm is None or not self.name_before():
            return None
        name = self.name_before()
        try:
            result = self._warm.get(name).run(volume, lambda *_: None)
        except PipelineError as error:
            self.note(f"{name} did not run on the earlier study: {error}.")
            return None
        self.note(f"{name} was run on the earlier study now: nothing was found there under an earlier tracking uid.")
        if result.is_positive and not result.segments:
            return None
        return {segment.key: segment for segment in result.segments if not segment.is_empty}

    def note(self, text: str) -> None:
        """A sentence for the report, once."""
        if text not in self.notes:
            self.notes.append(text)


class _Prior:
    """One earlier study, read when it is asked for."""

    def __init__(self, around: Surroundings, uid: str, files: list[Path], manifest: Manifest, age: str) -> None:
        self._around, self._uid, self._files = around, uid, files
        self._manifest, self._age = manifest, age
        self._read: tuple[Stack, Volume] | None = None

    def load(self) -> Volume | None:
        try:
            stack, _ = find_stack(self._files, self._manifest)
            again, self._read = self._read is not None, (stack, make_upright(stack, load_volume(stack)).volume)
        except (InputError, CannotUnderstand, FileNotFoundError) as error:
            why = "its images are no longer there" if isinstance(error, FileNotFoundError) else str(error)
            self._around.note(f"The prior study, {self._age}, was not read: {why}.")
            return None
        if not again:
            self._around.stacks.append(stack)
        return self._read[1]

    def find(self) -> Mapping[str, Segment] | None:
        """From the segmentation of an earlier job, whose tracking uids go on; else by the model, anew."""
        if self._read is None:
            return None
        stack, volume = self._read
        for objects in self._around.find_made(self._uid):
            one = next((item for item in objects if item.sop_class_uid == SegmentationStorage), None)
            try:
                if one is not None and stack.is_upright:
                    return self._around.read(one, stack)
            except (Unfit, FileNotFoundError):
                continue
            if one is None and self._around.found_nothing(objects):
                return {}
        return self._around.ask(volume)


def count_days(earlier: str, later: str) -> int | None:
    first, second = to_date(earlier), to_date(later)
    return (second - first).days if first and second else None
