"""lung-nodule: the lungs by lung-seg, blobs in them, each looked at by a small network, the likely ones outlined."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from torch import Tensor, nn

from pipelines.catalog import get_pipeline
from pipelines.errors import UnsuitableVolume
from pipelines.explanation.nodules import NoduleReader, Numbers
from pipelines.explanation.planes import draw_gradients
from pipelines.lung_nodule.candidates import Candidate, find_candidates
from pipelines.lung_nodule.findings import CONFIDENCE, LATERALITY, Nodule, make_result, note_thickness
from pipelines.pipeline import Model, Progress
from pipelines.steps.components import keep_largest
from pipelines.steps.intensity import check_hounsfield
from pipelines.steps.three_planes import make_network, predict
from pipelines.terms import Context, Manifest, Mask, Note, Result, Volume, read_manifest
from pipelines.weights import load_weights

HOME = Path(__file__).parent
LUNGS = "lung-seg"
WIDTH = 16
LEAST_LOGIT = 1.5
"""What answers less is not reported; see the model card for what this misses and what it takes for a nodule."""
MOST = 10
LEAST_ML = 200.0
"""With less lung in view nothing is said: it would be a corner of a chest, or none."""
MEANING = (
    "The saliency map shows around each nodule, as a share of its own highest value, what speaks for a nodule against"
    " plain lung: its brightness compares no two nodules. It explains the network, not the patient."
)


class LungNodule:
    """The pipeline of the manifest beside this file; see pipelines.pipeline.Pipeline."""

    manifest: Manifest = read_manifest(HOME / "manifest.toml")

    def load(self, device: str = "cpu") -> "NoduleModel":
        """The model on `device`; raises WeightsMissing or WeightsMismatch, for lung-seg's weights too."""
        weights = load_weights(HOME / "weights.safetensors", self.manifest.weights_sha256)
        return make_model(weights, get_pipeline(LUNGS).load(device), device)


def make_model(
    weights: Mapping[str, Tensor], lungs: Model, device: str = "cpu", least_logit: float = LEAST_LOGIT, most: int = MOST
) -> "NoduleModel":
    """A model with `weights`, which asks `lungs` (of lung-seg) where the lungs are. It reports at most `most`
    candidates, those that answer at least `least_logit`."""
    network = make_network(WIDTH)
    network.load_state_dict(weights)
    return NoduleModel(network.to(device).eval(), lungs, device, least_logit, most)


class NoduleModel:
    """The network in memory; see pipelines.pipeline.Model and ContextModel."""

    def __init__(self, network: nn.Module, lungs: Model, device: str, least_logit: float, most: int) -> None:
        self.network = network
        self._lungs = lungs
        self._device = device
        self._least_logit = least_logit
        self._most = most

    def run(self, volume: Volume, progress: Progress) -> Result:
        """Nodule candidates of a CT in HU. Raises UnsuitableVolume for what is no CT, and where the lungs are not in
        view."""
        return self.run_with(volume, Context(), progress)

    def run_with(self, volume: Volume, context: Context, progress: Progress) -> Result:
        """The same; where this comes after lung-seg, its lungs are taken and not sought again."""
        if volume.modality != "CT":
            raise UnsuitableVolume(f"nodules are read from CT, not from {volume.modality}")
        check_hounsfield(volume.voxels)
        start = perf_counter()
        sides, seconds = self._find_sides(volume, context, progress), {}
        seconds["lungs"] = round(perf_counter() - start, 3)
        progress(0.6, "find candidates")
        candidates = find_candidates(volume, _join(sides, volume), self._device)
        progress(0.9, "judge")
        logits = self.judge(candidates)
        seconds["candidates"] = round(perf_counter() - start - seconds["lungs"], 3)
        likely = [int(n) for n in np.argsort(-logits, kind="stable") if logits[n] >= self._least_logit]
        nodules = [_make_nodule(candidates[n], float(logits[n]), sides) for n in likely[: self._most]]
        notes = [*_note_more(len(likely) - len(nodules), self._most), *note_thickness(volume)]
        result = make_result(volume, nodules, notes, seconds)
        progress(1.0, "done")
        return result

    def explain(self, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
        """See pipelines.pipeline.ExplainingModel: "tta" or "gradients", of the network's answer to each nodule."""
        reader = NoduleReader(
            self.network, "gradients", draw_gradients, lambda logits, _: _find_confidence(logits), CONFIDENCE, MEANING
        )
        return reader.explain(volume, result, way, progress)

    def judge(self, candidates: list[Candidate]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """The logit of each."""
        planes = [candidate.planes for candidate in candidates]
        return predict(self.network, np.stack(planes) if planes else np.empty((0, 3, 1, 1), np.float32), self._device)

    def _find_sides(self, volume: Volume, context: Context, progress: Progress) -> dict[str, Mask]:
        """Side -> lung. Raises UnsuitableVolume where less than LEAST_ML of lung is seen."""
        segments = dict(context.before)
        if not LATERALITY.keys() & segments.keys():
            found = self._lungs.run(volume, lambda share, activity: progress(0.6 * share, activity))
            segments = {segment.key: segment for segment in found.segments}
        sides = {key: segments[key].mask for key in LATERALITY if key in segments}
        ml = sum(float(np.count_nonzero(mask)) for mask in sides.values()) * volume.voxel_ml
        if ml < LEAST_ML:
            raise UnsuitableVolume(
                f"{ml:.0f} mL of lung are in view, and it looks for nodules in {LEAST_ML:.0f} or more"
            )
        return sides


def _join(sides: Mapping[str, Mask], volume: Volume) -> Mask:
    lungs = np.zeros(volume.shape, dtype=bool)
    for mask in sides.values():
        lungs |= mask
    return lungs


def _make_nodule(candidate: Candidate, logit: float, sides: Mapping[str, Mask]) -> Nodule:
    whole = replace(candidate.grown, mask=keep_largest(candidate.grown.mask))
    return Nodule(whole, float(_find_confidence(np.array(logit))), _find_side(candidate, sides))


def _find_confidence(logits: Numbers) -> Numbers:
    return np.asarray(1.0 / (1.0 + np.exp(-logits)))


def _find_side(candidate: Candidate, sides: Mapping[str, Mask]) -> str:
    """The lung with most of the candidate's cube: at the pleura its own voxels may be in neither."""
    return max(sides, key=lambda key: int(np.count_nonzero(sides[key][candidate.grown.box])))


def _note_more(count: int, most: int) -> list[Note]:
    return [Note(f"{count} more candidates were left out: only {most} are reported.")] if count > 0 else []


pipeline = LungNodule()
