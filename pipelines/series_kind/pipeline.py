"""series-kind: what a series is, by rules on its header and, where that is silent, on its pixels; else left open."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipelines.pipeline import Progress
from pipelines.series_kind import concepts
from pipelines.series_kind.region import decide_region
from pipelines.steps.body_region import find_region
from pipelines.terms import Code, Context, Finding, Note, Region, Result, Severity, Told, Volume, read_manifest

WITHIN = np.cos(np.radians(20.0))
"""Planes are axial, coronal or sagittal within 20 degrees."""
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
        regions, contradiction = decide_region(told, find_region(volume))
        answers = tuple(answer(told, volume, regions))
        progress(1.0, "done")
        known = {question for question, _ in answers}
        asked = EXPECTED.get(told.modality, (concepts.REGION, concepts.PLANE))
        open_questions = [question.meaning for question in asked if question not in known]
        notes = [contradiction] if contradiction is not None else []
        if open_questions:
            text = f"Left open, since neither header nor pixels tell it surely: {', '.join(open_questions)}."
            notes.append(Note(text, Severity.INFO))
        return Result((), (Finding("series-kind", concepts.SERIES, qualifiers=answers),), tuple(notes))


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


def find_plane(volume: Volume) -> Code | None:
    """How the planes of `volume` lie in the patient; None when obliquely."""
    normal = np.cross(volume.affine[:3, 2], volume.affine[:3, 1])
    cosines = np.abs(normal / np.linalg.norm(normal))
    return concepts.PLANES[int(cosines.argmax())] if cosines.max() >= WITHIN else None


pipeline = SeriesKind()
