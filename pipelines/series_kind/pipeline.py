"""series-kind: what a series is, by rules on its header and, where that is silent, on its pixels; else left open."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pipelines.pipeline import Progress
from pipelines.series_kind import concepts
from pipelines.series_kind.grounds import state_grounds
from pipelines.series_kind.plane import find_plane
from pipelines.series_kind.region import decide_region
from pipelines.steps.body_region import find_region
from pipelines.terms import Code, Context, Finding, Note, Region, Result, Severity, Told, Volume, read_manifest

EXPECTED: dict[str, tuple[Code, ...]] = {
    "CT": (concepts.REGION, concepts.PLANE, concepts.CONTRAST, concepts.KERNEL, concepts.ROLE),
    "MR": (concepts.REGION, concepts.PLANE, concepts.CONTRAST, concepts.WEIGHTING, concepts.ROLE),
}
"""What there is to ask of a modality; of any other the first two."""


class SeriesKind:
    """The pipeline and its model at once: there are no weights."""

    manifest = read_manifest(Path(__file__).with_name("manifest.toml"))

    def load(self, device: str) -> "SeriesKind":
        """Nothing to load."""
        return self

    def run(self, volume: Volume, progress: Progress) -> Result:
        """What the voxels alone tell."""
        return self.run_with(volume, Context(), progress)

    def run_with(self, volume: Volume, context: Context, progress: Progress) -> Result:
        """One finding, the series, with an answer for each question that has one, and a note on those left open."""
        told = context.told or Told(volume.modality)
        region = decide_region(told, find_region(volume))
        answers = tuple(answer(told, volume, region.regions))
        progress(1.0, "done")
        known = {question for question, _ in answers}
        asked = ask(told.modality)
        open_questions = [question.meaning for question in asked if question not in known]
        notes = [region.note] if region.note is not None else []
        if open_questions:
            text = f"Left open, since neither header nor pixels tell it surely: {', '.join(open_questions)}."
            notes.append(Note(text, Severity.INFO))
        return Result((), (Finding("series-kind", concepts.SERIES, qualifiers=answers),), tuple(notes))

    def explain(self, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
        """Why the voxels alone told it."""
        return self.explain_with(volume, Context(), result, way, progress)

    def explain_with(self, volume: Volume, context: Context, result: Result, way: str, progress: Progress) -> Result:
        """See pipelines.pipeline.ContextExplainingModel: "grounds" alone, sentences and no map."""
        answers = dict(result.findings[0].qualifiers)
        modality = context.told.modality if context.told is not None else volume.modality
        asked = tuple(dict.fromkeys((concepts.MODALITY, *ask(modality), *answers)))
        notes = tuple(Note(text, Severity.INFO) for text in state_grounds(context.told, volume, answers, asked))
        progress(1.0, "explain")
        return replace(result, notes=(*result.notes, *notes))


def ask(modality: str) -> tuple[Code, ...]:
    """The questions that series of `modality` are asked."""
    return EXPECTED.get(modality, (concepts.REGION, concepts.PLANE))


def answer(told: Told, volume: Volume, regions: frozenset[Region]) -> Iterator[tuple[Code, Code]]:
    """(question, answer) of all that is known."""
    given = None if told.contrast is None else concepts.YES if told.contrast else concepts.NO
    found: dict[Code, Code | None] = {
        concepts.MODALITY: concepts.MODALITIES.get(told.modality),
        concepts.REGION: concepts.name_regions(regions),
        concepts.PLANE: find_plane(volume),
        concepts.CONTRAST: given,
        concepts.WEIGHTING: concepts.WEIGHTINGS[told.weighting] if told.weighting else None,
        concepts.KERNEL: concepts.KERNELS[told.kernel] if told.kernel else None,
        concepts.ROLE: concepts.ROLES[told.role] if told.role else None,
    }
    yield from ((question, code) for question, code in found.items() if code is not None)


pipeline = SeriesKind()
