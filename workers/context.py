"""What a model that asks for it is told beside the volume: the priors of its job, and what the job before found.

Nothing is read for a model that has no `run_with`. Of each prior one header is read, to tell its age; its images only
when the model asks. What cannot be handed on is a sentence in the report, never a failed job.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pydicom.uid import SegmentationStorage

from node.config import Settings
from node.dicom.find_stack import find_stack
from node.dicom.header import find_value, read_header
from node.dicom.kind import read_kind
from node.dicom.read_segmentation import Unfit, read_segmentation
from node.dicom.stack import Stack
from node.dicom.upright import make_upright
from node.dicom.volume import load_volume
from node.errors import CannotUnderstand, InputError
from node.inbound.priors import find_age, find_prior_files, to_date
from node.ledger import Ledger
from node.ledger.dependencies import find_inputs
from node.model.job import Job
from pipelines.terms import Context, Manifest, PriorStudy, Segment, Volume, get_manifest


class Surroundings:
    """The context of one job, and what became of it. notes: sentences for the report, complete after the run."""

    def __init__(self, job: Job, settings: Settings, ledger: Ledger, stack: Stack) -> None:
        self._job = job
        self._settings = settings
        self._ledger = ledger
        self._stack = stack
        self.notes: list[str] = []

    def make(self) -> Context:
        """Raises DependencyFailed when the job comes after one that has no results any more."""
        return Context(self._find_priors(), self._read_before(), read_kind(self._stack))

    def _find_priors(self) -> tuple[PriorStudy, ...]:
        found = find_prior_files(self._job, self._settings, self._ledger)
        manifest, later = get_manifest(self._job.pipeline), str(find_value(self._stack.first, "StudyDate") or "")
        priors = []
        for files in found.values():
            try:
                earlier = str(find_value(read_header(files[0]), "StudyDate") or "")
            except (CannotUnderstand, FileNotFoundError):
                self._note("A prior study is no longer there.")
                continue
            days = _count_days(earlier, later)
            if days is None:
                self._note("A prior study was not handed on: one of the two studies has no date.")
                continue
            load = partial(self._load_prior, files, manifest, find_age(earlier, later))
            priors.append(PriorStudy(days, load))
        return tuple(priors)

    def _load_prior(self, files: list[Path], manifest: Manifest, age: str) -> Volume | None:
        try:
            stack, _ = find_stack(files, manifest)
            return make_upright(stack, load_volume(stack)).volume
        except (InputError, CannotUnderstand, FileNotFoundError) as error:
            why = "its images are no longer there" if isinstance(error, FileNotFoundError) else str(error)
            self._note(f"The prior study, {age}, was not read: {why}.")
            return None

    def _read_before(self) -> Mapping[str, Segment]:
        objects = find_inputs(self._job, self._ledger)
        if not objects:
            return {}
        name = self._ledger.get_job(self._job.after).pipeline
        one = next((item for item in objects if item.sop_class_uid == SegmentationStorage), None)
        if one is None:
            self._note(f"No masks of {name} were handed on: there is no Segmentation of it.")
            return {}
        if not self._stack.is_upright:
            self._note(f"No masks of {name} were handed on: the images were resampled, its masks were not.")
            return {}
        try:
            return read_segmentation(self._settings.outbox / one.path, self._stack)
        except FileNotFoundError:
            self._note(f"No masks of {name} were handed on: its Segmentation is no longer there.")
        except Unfit as error:
            self._note(f"No masks of {name} were handed on: {error}.")
        return {}

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _count_days(earlier: str, later: str) -> int | None:
    first, second = to_date(earlier), to_date(later)
    return (second - first).days if first and second else None
