"""Why lung-seg calls a place lung, and how steadily it does so: maps on the model's grid.

GradCAM++ is not among them: it was tried at every layer of this network, and removing what it calls important lowers
the score no sooner than removing anything. Density alone says most of what is lung; the network corrects it, so its
deep layers speak of what is not.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.explanation.augment import answer_changed, make_changes
from pipelines.explanation.deviation import add_deviations
from pipelines.explanation.gradients import integrate_gradients
from pipelines.explanation.quantity import describe_members
from pipelines.explanation.scale import normalize
from pipelines.explanation.score import Score, score_region
from pipelines.explanation.spread import find_spread
from pipelines.lung_seg.findings import NAMES
from pipelines.lung_seg.network import SPACING_MM, fit_patch, to_input, weigh_density
from pipelines.lung_seg.postprocess import THRESHOLD, keep_lungs
from pipelines.lung_seg.sides import split_sides
from pipelines.pipeline import Progress
from pipelines.terms import Finding, Note, Result, Severity

CHANGES = make_changes(flip=(2,), shifts=((0, 0, 0), (3, 3, 3), (6, 2, 4)))
"""Mirrored along i, left for right, as in training, and moved by what is no multiple of the network's stride. Neither k
nor j is mirrored: a patient upside down would be another question. The first is no change."""
TISSUE_HU = 40.0
"""What lung is told from: the baseline of the gradients."""
STEPS = 8
SOLID_HU = -300.0
OUTSIDE = -3024.0
"""Stands for NaN where windows are padded."""


@dataclass(frozen=True, slots=True, eq=False)
class Explained:
    """maps: on the model's grid. findings: with what the explanation adds. note: how the maps are to be read."""

    maps: tuple[Tensor, ...]
    findings: tuple[Finding, ...]
    note: Note


@dataclass(frozen=True, slots=True)
class Reader:
    """predict: the probability of lung for HU on the model's grid."""

    network: nn.Module
    predict: Callable[[Tensor, Progress], Tensor]

    def vary(self, hu: Tensor, result: Result, progress: Progress) -> Explained:
        """The entropy, in bits, of the mean probability after CHANGES; and the deviation of each volume."""
        gray, volumes = hu.cpu().numpy(), []

        def answers() -> Iterator[Tensor]:
            for n, answer in enumerate(answer_changed(lambda one: self.predict(one, _silent), hu, CHANGES), 1):
                volumes.append(_measure_sides(answer, gray))
                progress(n / len(CHANGES), "explain")
                yield answer

        spread = find_spread(answers())
        findings = add_deviations(result.findings, {key: [one[key] for one in volumes] for key in volumes[0]})
        return Explained((spread.entropy,), findings, Note(describe_members(len(CHANGES)), Severity.INFO))

    def attribute(self, hu: Tensor, result: Result, progress: Progress) -> Explained:
        """What speaks for the lungs that were found; no map where there are none."""
        with torch.no_grad():
            region = self.predict(hu, _silent) > THRESHOLD
        if not result.is_positive or not region.any():
            return Explained((), result.findings, Note("No lungs were found: there is nothing to explain."))
        windows = 0

        def tell() -> None:
            nonlocal windows
            windows += 1
            progress(1 - 0.9**windows, "explain")

        text = (
            "The saliency map shows, as a share of the most, what speaks for lung against soft tissue. It explains the "
            "network, not the patient."
        )
        return Explained((draw_gradients(self.network, hu, region, tell),), result.findings, Note(text, Severity.INFO))


def _silent(_share: float, _word: str) -> None:
    """The whole is told of, not its parts."""


def _measure_sides(probability: Tensor, gray: NDArray[np.float32]) -> Mapping[str, float]:
    """Milliliters by finding, of one reading on the model's grid."""
    lungs = keep_lungs(probability.cpu().numpy(), gray, SPACING_MM)
    sides = split_sides(lungs, gray > SOLID_HU, SPACING_MM)
    voxel_ml = SPACING_MM**3 / 1000.0
    found = {name: float((lungs & (sides == side)).sum()) * voxel_ml for side, name in NAMES.items()}
    return found | {"lungs": float(lungs.sum()) * voxel_ml}


def draw_gradients(
    network: nn.Module, hu: Tensor, region: Tensor, tell: Callable[[], None], steps: int = STEPS
) -> Tensor:
    """What the voxels of `hu` (k, j, i; NaN where unknown) add to the logits of `region` (bool), compared with a
    patient of soft tissue: 0..1 as a share of the most, on the CPU. Window by window as the network reads it; `tell` is
    called before each. About three times `steps` the network's own time."""
    image = torch.stack([hu, region.to(hu.dtype)])[None]

    def look(window: Tensor) -> Tensor:
        tell()
        inside = window[0, 1] > 0.5
        if not inside.any():
            return torch.zeros_like(window[:, :1])
        gray = torch.where(window[:, :1] == OUTSIDE, torch.nan, window[:, :1])
        found = integrate_gradients(
            score_lung(network, inside), gray, torch.where(gray.isnan(), gray, TISSUE_HU), steps
        )
        return found.nan_to_num()[None, None].to(window.device)

    padded = image.nan_to_num(OUTSIDE)
    found = sliding_window_inference(padded, fit_patch(hu.shape), 1, look, 0.25, mode="gaussian", cval=OUTSIDE)
    return normalize(found[0, 0])


def score_lung(network: nn.Module, region: Tensor) -> Score:
    """The sum over `region` of the logits, as the pipeline decides by them: the network's, and density as evidence."""

    def decide(images: Tensor) -> Tensor:
        hu = images[:, 0]
        return weigh_density(network(to_input(hu))[:, 0], hu)[:, None]

    return score_region(decide, region)
