"""nodule-malignancy: each nodule as three pictures, a small network, and its answer made a probability."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter

import numpy as np
from torch import Tensor, nn

from pipelines.catalog import get_pipeline
from pipelines.errors import UnsuitableVolume, WeightsMismatch
from pipelines.explanation.nodules import NoduleReader
from pipelines.explanation.planes import draw_occlusion
from pipelines.nodule_malignancy.findings import SUSPICIOUS, Rated, make_result
from pipelines.pipeline import Model, Progress
from pipelines.steps.dense import note_dense
from pipelines.steps.grow import Disc, measure_disc
from pipelines.steps.intensity import check_hounsfield
from pipelines.steps.logistic import Numbers, predict_logistic
from pipelines.steps.three_planes import make_network, predict, show_nodule
from pipelines.terms import Context, Manifest, Note, Result, Segment, Volume, read_manifest
from pipelines.weights import load_weights

HOME = Path(__file__).parent
NODULES = "lung-nodule"
WIDTH = 12
CALIBRATION, BASELINE = "calibration", "baseline"
"""Tensors beside the network's: coefficients for (logit, log of the diameter) and for that log alone."""
DIAMETERS_MM = (3.0, 33.0)
"""What it was trained on; nodules of other size are not rated."""
MEANING = (
    "The saliency map shows around each nodule, as a share of its own highest value, where plain lung instead makes the"
    " rating less suspicious: its brightness compares no two nodules. What the diameter adds to the probability is not"
    " on it. It explains the network, not the patient."
)


class NoduleMalignancy:
    """The pipeline of the manifest beside this file; see pipelines.pipeline.Pipeline."""

    manifest: Manifest = read_manifest(HOME / "manifest.toml")

    def load(self, device: str = "cpu") -> "RatingModel":
        """The model on `device`; raises WeightsMissing or WeightsMismatch, for lung-nodule's weights too."""
        weights = load_weights(HOME / "weights.safetensors", self.manifest.weights_sha256)
        return make_model(weights, get_pipeline(NODULES).load(device), device)


def make_model(weights: Mapping[str, Tensor], nodules: Model, device: str = "cpu") -> "RatingModel":
    """A model with `weights`, which asks `nodules` (of lung-nodule) where none are given. Raises WeightsMismatch when
    they hold no calibration."""
    rest = dict(weights)
    if not {CALIBRATION, BASELINE} <= rest.keys():
        raise WeightsMismatch("the weights of nodule-malignancy hold no calibration")
    calibration, baseline = (rest.pop(name).double().numpy() for name in (CALIBRATION, BASELINE))
    network = make_network(WIDTH)
    network.load_state_dict(rest)
    return RatingModel(network.to(device).eval(), calibration, baseline, nodules, device)


class RatingModel:
    """The network in memory; see pipelines.pipeline.Model and ContextModel."""

    def __init__(
        self, network: nn.Module, calibration: Numbers, baseline: Numbers, nodules: Model, device: str
    ) -> None:
        self.network = network
        self._calibration = calibration
        self._baseline = baseline
        self._nodules = nodules
        self._device = device

    def run(self, volume: Volume, progress: Progress) -> Result:
        """Nodules that lung-nodule finds in a CT in HU, rated. Raises UnsuitableVolume."""
        return self.run_with(volume, Context(), progress)

    def run_with(self, volume: Volume, context: Context, progress: Progress) -> Result:
        """The lesions of the pipeline that this one comes after, rated; where it comes after none, or after one that
        outlines no lesions, or not all could be handed on, those that lung-nodule finds."""
        if volume.modality != "CT":
            raise UnsuitableVolume(f"nodules are read from CT, not from {volume.modality}")
        check_hounsfield(volume.voxels)
        start = perf_counter()
        lesions = _list_lesions(context.before)
        if not context.is_complete or (context.before and not lesions):
            lesions = _list_lesions(self._find(volume, progress))
        found = perf_counter() - start
        progress(0.9, "rate")
        rated = self._rate(volume, lesions)
        seconds = {"nodules": round(found, 3), "rate": round(perf_counter() - start - found, 3)}
        progress(1.0, "done")
        means = {one.segment.label: float(volume.voxels[one.segment.mask].mean(dtype=np.float64)) for one in rated}
        return make_result(rated, [*_note_sizes(len(lesions) - len(rated)), *note_dense(means)], seconds)

    def explain(self, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
        """See pipelines.pipeline.ExplainingModel: "tta" or "occlusion", of the network's share in each probability."""
        reader = NoduleReader(self.network, "occlusion", draw_occlusion, self._find_chances, SUSPICIOUS, MEANING)
        return reader.explain(volume, result, way, progress)

    def _find(self, volume: Volume, progress: Progress) -> dict[str, Segment]:
        result = self._nodules.run(volume, lambda share, activity: progress(0.9 * share, activity))
        return {segment.key: segment for segment in result.segments}

    def _rate(self, volume: Volume, lesions: Sequence[Segment]) -> list[Rated]:
        """Those of a size that it was trained on."""
        discs = [(segment, measure_disc(segment.mask, volume.spacing)) for segment in lesions]
        low, high = DIAMETERS_MM
        fit = [(segment, disc) for segment, disc in discs if low <= disc.diameter_mm <= high]
        if not fit:
            return []
        pictures = [show_nodule(volume.voxels, volume.spacing, disc.center, disc.diameter_mm) for _, disc in fit]
        logits = predict(self.network, np.stack(pictures), self._device)
        sizes = np.log([disc.diameter_mm for _, disc in fit])
        both = predict_logistic(self._calibration, np.c_[logits, sizes])
        alone = predict_logistic(self._baseline, sizes[:, None])
        return [
            Rated(segment, disc.diameter_mm, float(one), float(other))
            for (segment, disc), one, other in zip(fit, both, alone, strict=True)
        ]

    def _find_chances(self, logits: Numbers, disc: Disc) -> Numbers:
        """Of a suspicious rating, by reading of one nodule."""
        return predict_logistic(self._calibration, np.c_[logits, np.full(len(logits), np.log(disc.diameter_mm))])


def _list_lesions(segments: Mapping[str, Segment]) -> list[Segment]:
    return [segment for segment in segments.values() if segment.is_lesion and not segment.is_empty]


def _note_sizes(count: int) -> list[Note]:
    low, high = DIAMETERS_MM
    text = f"{count} of the nodules were not rated: they are smaller than {low:.0f} or greater than {high:.0f} mm."
    return [Note(text)] if count else []


pipeline = NoduleMalignancy()
