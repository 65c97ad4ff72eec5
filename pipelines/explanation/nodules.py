"""Explains the pipelines that judge nodules by a network of three planes: one map of all, or a deviation of each."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from pipelines.explanation.deviation import add_deviations
from pipelines.explanation.planes import CHANGES, Draw, draw_nodules, read_again
from pipelines.explanation.quantity import NO_UNITS, describe_members, name_map
from pipelines.pipeline import Progress
from pipelines.steps.grow import Disc, measure_disc
from pipelines.terms import Code, Finding, Note, Result, Severity, Volume

Numbers = NDArray[np.float64]
LEAST = 0.5
"""A probability below speaks against: a map of what speaks for it would mislead."""
NOTHING = Note("No nodule is reported: there is nothing to explain.")
READ_AGAIN = Note(
    describe_members(len(CHANGES), "what the network sees of each nodule turned upside down and moved by 1 or 2 pixels")
    + " Nodules were neither sought nor outlined anew.",
    Severity.INFO,
)


@dataclass(frozen=True, slots=True)
class NoduleReader:
    """network: of pipelines.steps.three_planes. find_chances: from its logits for the nodule at a disc to the
    probabilities that are reported, of `concept`. way, draw: how its map is made; meaning: how that is to be read."""

    network: nn.Module
    way: str
    draw: Draw
    find_chances: Callable[[Numbers, Disc], Numbers]
    concept: Code
    meaning: str

    def explain(self, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
        """See pipelines.pipeline.ExplainingModel: "tta" or the way of this reader."""
        progress(0.0, "explain")
        discs = find_discs(result, volume.spacing)
        if not discs:
            return replace(result, notes=(*result.notes, NOTHING))
        return {"tta": self._vary, self.way: self._attribute}[way](volume, result, discs, progress)

    def _vary(self, volume: Volume, result: Result, discs: dict[str, Disc], progress: Progress) -> Result:
        """The deviation of each probability."""
        chances = {}
        for number, (key, disc) in enumerate(discs.items(), 1):
            chances[key] = self.find_chances(read_again(self.network, volume, disc), disc).tolist()
            progress(number / len(discs), "explain")
        findings = add_deviations(result.findings, chances, concept=self.concept, unit=NO_UNITS)
        return replace(result, findings=findings, notes=(*result.notes, READ_AGAIN))

    def _attribute(self, volume: Volume, result: Result, discs: dict[str, Disc], progress: Progress) -> Result:
        """One map of all nodules that are rather likely: of another it would show, as brightly, what speaks for an
        answer that was not given."""
        likely = {one.key for one in result.findings if self._find_reported(one) >= LEAST}
        places = [disc for key, disc in discs.items() if key in likely]
        less = _note_less(len(discs) - len(places))
        if not places:
            return replace(result, notes=(*result.notes, *less))
        values = draw_nodules(self.network, self.draw, volume, places, lambda share: progress(share, "explain"))
        notes = (*result.notes, Note(self.meaning, Severity.INFO), *less)
        return replace(result, notes=notes, maps=(*result.maps, name_map(self.way, values)))

    def _find_reported(self, finding: Finding) -> float:
        """The probability of `concept` that `finding` states; 0 where it states none."""
        return next((one.value for one in finding.measurements if one.concept == self.concept), 0.0)


def _note_less(count: int) -> list[Note]:
    text = f"Of {count} of the nodules nothing is on a saliency map: their probability is below {LEAST}."
    return [Note(text, Severity.INFO)] if count else []


def find_discs(result: Result, spacing: tuple[float, float, float]) -> dict[str, Disc]:
    """Where each nodule of `result` lies, by the key of its finding, as its outline says. spacing: of the volume, mm
    along k, j and i."""
    segments = {segment.key: segment for segment in result.segments}
    keys = {one.key: one.segment_key for one in result.findings if one.segment_key is not None and not one.absent}
    return {key: measure_disc(segments[of].mask, spacing) for key, of in keys.items()}
