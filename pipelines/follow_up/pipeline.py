"""follow-up: the newest earlier study that suits, laid on this one; lesions of another pipeline are matched."""

from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import TypeVar

import numpy as np

from pipelines.errors import MissingInputs
from pipelines.follow_up.explain import explain_comparison
from pipelines.follow_up.findings import Comparison, make_result
from pipelines.follow_up.lesions import measure_lesions
from pipelines.follow_up.match import Matches, match_lesions
from pipelines.pipeline import Progress
from pipelines.registration.deformable import refine
from pipelines.registration.rigid import register_rigid
from pipelines.steps.dense import note_dense
from pipelines.terms import Context, Manifest, Note, PriorStudy, Registration, Result, Segment, Volume, read_manifest

T = TypeVar("T")


class FollowUp:
    """The pipeline of the manifest beside this file and its model at once: there are no weights. See
    pipelines.pipeline.Pipeline and ContextExplainingModel."""

    manifest: Manifest = read_manifest(Path(__file__).with_name("manifest.toml"))

    def load(self, device: str = "cpu") -> "FollowUp":
        """Nothing is loaded; it runs on the CPU whatever `device` is."""
        return self

    def run(self, volume: Volume, progress: Progress) -> Result:
        """Raises MissingInputs: one study is not compared."""
        raise MissingInputs("it compares two studies, and was given no earlier one")

    def run_with(self, volume: Volume, context: Context, progress: Progress) -> Result:
        """How `volume` differs from the newest prior that can be read. Raises MissingInputs when there is none,
        NoOverlap or NotConverged when it cannot be laid on this study in a way that is to be believed."""
        progress(0.0, "read prior")
        prior, earlier = _load(context)
        seconds: dict[str, float] = {}

        def measure(share: float, activity: str, work: Callable[[], T]) -> T:
            progress(share, activity)
            start = perf_counter()
            done = work()
            seconds[activity] = round(perf_counter() - start, 3)
            return done

        rigid = measure(0.1, "register", lambda: register_rigid(volume, earlier))
        bent = measure(0.5, "bend", lambda: refine(volume, earlier, rigid.matrix))
        label = f"study of {prior.days_before} days before"
        registration = Registration("prior", earlier.frame_of_reference_uid, label, rigid.matrix, bent.field)
        before = measure(0.7, "find earlier lesions", prior.before)
        matches, notes = _match(context, before, registration, volume, earlier)
        progress(1.0, "done")
        return make_result(Comparison(prior.days_before, rigid, bent, registration, matches), notes, seconds)

    def explain(self, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
        """Raises MissingInputs: without the earlier study there is nothing to explain."""
        raise MissingInputs("it compares two studies, and was given no earlier one")

    def explain_with(self, volume: Volume, context: Context, result: Result, way: str, progress: Progress) -> Result:
        """See pipelines.pipeline.ContextExplainingModel: "consistency" alone."""
        progress(0.0, "explain")
        _, earlier = _load(context)
        return explain_comparison(volume, earlier, result, lambda share: progress(share, "explain"))


def _load(context: Context) -> tuple[PriorStudy, Volume]:
    for prior in context.priors:
        volume = prior.load()
        if volume is not None:
            return prior, volume
    some = "no earlier study has images that suit" if context.priors else "it was given no earlier study"
    raise MissingInputs(f"it compares two studies, and {some}")


def _match(
    context: Context, before: Mapping[str, Segment] | None, registration: Registration, volume: Volume, earlier: Volume
) -> tuple[Matches | None, list[Note]]:
    """None, with the reason, where of one of the studies it is not known which lesions it has."""
    unknown = [
        study for study, known in (("this study", context.is_complete), ("the earlier study", before is not None))
        if not known
    ]  # fmt: skip
    if unknown or before is None:
        text = f"No finding was compared: the lesions of {' and of '.join(unknown)} are not known. See the other notes."
        return None, [Note(text)]
    now = measure_lesions(context.before, volume)
    means = {one.segment.label: float(volume.voxels[one.segment.mask].mean(dtype=np.float64)) for one in now}
    return match_lesions(measure_lesions(before, earlier), now, registration, volume, earlier), note_dense(means)


pipeline = FollowUp()
