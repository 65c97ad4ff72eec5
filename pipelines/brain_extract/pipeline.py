"""brain-extract: outline and volume of the brain in a T1-weighted head MR."""

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from pipelines.brain_extract.chain import Network, Outline, outline_brain
from pipelines.brain_extract.explain import CHANGES, vary
from pipelines.brain_extract.orient import find_turn
from pipelines.brain_extract.plausible import find_doubts
from pipelines.brain_extract.weights import find_weights, load_networks
from pipelines.errors import UnsuitableVolume
from pipelines.explanation.deviation import add_deviations
from pipelines.explanation.quantity import describe_members, name_map
from pipelines.pipeline import Progress
from pipelines.terms import Code, Finding, Mask, Measurement, Note, Result, Segment, Severity, Volume, read_manifest

ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
BRAIN = Code("12738006", "SCT", "Brain")
VOLUME = Code("118565006", "SCT", "Volume")
MILLILITER = Code("mL", "UCUM", "milliliter")

LEAST_ML = 100.0
"""Below this nothing that could be called a brain was found."""
WHAT_COUNTS = Note("The outline includes the ventricles and the fluid between the gyri.", Severity.INFO)


class BrainModel:
    """Both networks in memory on one device."""

    def __init__(self, find: Network, outline: Network, device: str) -> None:
        self._find, self._outline, self._device = find, outline, device

    def run(self, volume: Volume, progress: Progress) -> Result:
        """The brain as segment "brain" with its volume in mL, or a finding that it is absent.

        Raises UnsuitableVolume for voxels that are not numbers or all alike, and for an outline that is no brain.
        """
        _check(volume)
        start = perf_counter()
        progress(0.0, "turn the head")
        turn = find_turn(volume.affine)
        found = outline_brain(turn.apply(volume.voxels), self._find, self._outline, self._device, progress)
        result = describe(turn.undo(found.mask), volume, perf_counter() - start)
        progress(1.0, "done")
        return result

    def explain(self, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
        """See pipelines.pipeline.ExplainingModel: "tta" alone."""
        progress(0.0, "explain")
        turn = find_turn(volume.affine)

        def ask(head: NDArray[np.float32]) -> Outline:
            return outline_brain(head, self._find, self._outline, self._device, lambda *_: None)

        entropy, voxels = vary(turn.apply(volume.voxels), ask, lambda share: progress(share, "explain"))
        findings = add_deviations(result.findings, {"brain": [count * volume.voxel_ml for count in voxels]})
        note = Note(describe_members(len(CHANGES)), Severity.INFO)
        drawn = name_map(way, turn.undo(entropy))
        return replace(result, findings=findings, notes=(*result.notes, note), maps=(*result.maps, drawn))


class BrainExtract:
    """The pipeline: see manifest.toml and MODEL_CARD.md."""

    manifest = read_manifest(Path(__file__).with_name("manifest.toml"))

    def load(self, device: str) -> BrainModel:
        """The networks of deepbet on `device`. Raises WeightsMissing and WeightsMismatch."""
        find, outline = load_networks(find_weights(), device)
        return BrainModel(find, outline, device)


def describe(mask: Mask, volume: Volume, seconds: float) -> Result:
    """The result that `mask` (k, j, i) means. Raises UnsuitableVolume where no brain looks like that."""
    milliliters = float(np.count_nonzero(mask)) * volume.voxel_ml
    timings = {"inference": seconds}
    if milliliters < LEAST_ML:
        return Result((), (Finding("brain", BRAIN, absent=True),), (), timings)
    doubts = find_doubts(mask, volume)
    segment = Segment("brain", "Brain", ANATOMY, BRAIN, mask, color=(235, 160, 150))
    size = Measurement(VOLUME, milliliters, MILLILITER)
    finding = Finding("brain", BRAIN, segment_key="brain", measurements=(size,))
    return Result((segment,), (finding,), (WHAT_COUNTS, *doubts), timings)


def _check(volume: Volume) -> None:
    if not np.isfinite(volume.voxels).all():
        raise UnsuitableVolume("the volume holds voxels that are not finite numbers")
    if volume.voxels.min() == volume.voxels.max():
        raise UnsuitableVolume("all voxels of the volume are alike: there is no head in it")


pipeline = BrainExtract()
