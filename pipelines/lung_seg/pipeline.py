"""lung-seg: resample to 3 mm, a UNet over sliding windows, parts kept and sides told apart, back to the source."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor, nn

from pipelines.errors import UnsuitableVolume
from pipelines.explanation.lay import lay
from pipelines.explanation.quantity import name_map
from pipelines.lung_seg.explain import Reader
from pipelines.lung_seg.findings import make_result, note_acquisition
from pipelines.lung_seg.network import PADDING_HU, SPACING_MM, fit_patch, make_network, to_input, weigh_density
from pipelines.lung_seg.postprocess import THRESHOLD, keep_lungs
from pipelines.lung_seg.sides import LEFT, RIGHT, split_sides
from pipelines.pipeline import Progress
from pipelines.steps.body import find_outside
from pipelines.steps.edges import find_cut_sides
from pipelines.steps.intensity import check_hounsfield, hide_padding
from pipelines.steps.project import crop_grid, project
from pipelines.steps.resample import Grid, make_aligned_grid, resample
from pipelines.terms import Affine, Context, Manifest, Mask, Result, Volume, read_manifest
from pipelines.weights import load_weights

HOME = Path(__file__).parent
TISSUE_HU = -300.0


class LungSeg:
    """The pipeline of the manifest beside this file; see pipelines.pipeline.Pipeline."""

    manifest: Manifest = read_manifest(HOME / "manifest.toml")

    def load(self, device: str = "cpu") -> "LungModel":
        """The model on `device`; raises WeightsMissing or WeightsMismatch."""
        return make_model(load_weights(HOME / "weights.safetensors", self.manifest.weights_sha256), device)


def make_model(weights: dict[str, Tensor], device: str) -> "LungModel":
    """A model with `weights`, on `device`."""
    network = make_network()
    network.load_state_dict(weights)
    return LungModel(network.to(device).eval(), device)


@dataclass(frozen=True, slots=True)
class _Clock:
    """Seconds by activity, and the caller told when one begins."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, done: float, activity: str) -> Iterator[None]:
        self.progress(done, activity)
        start = perf_counter()
        yield
        self.seconds[activity] = round(perf_counter() - start, 3)


class LungModel:
    """The network in memory; see pipelines.pipeline.ContextModel."""

    def __init__(self, network: nn.Module, device: str) -> None:
        self.network = network
        self._device = device

    def run_with(self, volume: Volume, context: Context, progress: Progress) -> Result:
        """As run, with a note where the header says that density is not what it would be without contrast or with a
        smooth kernel."""
        result = self.run(volume, progress)
        notes = note_acquisition(context.told) if result.is_positive else []
        return replace(result, notes=(*result.notes, *notes))

    def run(self, volume: Volume, progress: Progress) -> Result:
        """Right and left lung of a CT in HU. Raises UnsuitableVolume when the voxels cannot be HU of a patient."""
        if volume.modality != "CT":
            raise UnsuitableVolume(f"lungs are read from CT, not from {volume.modality}")
        check_hounsfield(volume.voxels)
        clock = _Clock(progress)
        with clock.step(0.0, "resample"):
            hu, measured, affine = self.to_model_grid(volume)
        with clock.step(0.15, "segment"):
            probability = self.predict(hu, progress)
        with clock.step(0.6, "separate"):
            gray = hu.cpu().numpy()
            lungs = keep_lungs(probability.cpu().numpy(), gray, SPACING_MM)
            sides = split_sides(lungs, gray > TISSUE_HU, SPACING_MM)
            cut = find_cut_sides(lungs, measured, SPACING_MM)
        with clock.step(0.75, "project"):
            masks = _to_source(probability, lungs, sides, affine, Grid(volume.shape, volume.affine))
        progress(0.95, "measure")
        result = make_result(volume, masks, cut, clock.seconds)
        progress(1.0, "done")
        return result

    def explain(self, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
        """See pipelines.pipeline.ExplainingModel: "tta" or "gradients"."""
        progress(0.0, "explain")
        hu, _, affine = self.to_model_grid(volume)
        reader = Reader(self.network, self.predict)
        explained = {"tta": reader.vary, "gradients": reader.attribute}[way](hu, result, progress)
        grid = Grid(volume.shape, volume.affine)
        laid = tuple(name_map(way, lay(values, affine, grid)) for values in explained.maps)
        return replace(result, findings=explained.findings, notes=(*result.notes, explained.note), maps=laid)

    def to_model_grid(self, volume: Volume) -> tuple[Tensor, Mask, Affine]:
        """HU on the aligned grid, NaN where unknown or outside the patient; where it was measured; and the affine.
        All cut to the patient."""
        grid = make_aligned_grid(volume.shape, volume.affine, SPACING_MM)
        voxels = torch.from_numpy(hide_padding(volume.voxels, PADDING_HU))
        hu = resample(voxels, volume.affine, grid, fill=torch.nan, device=self._device)
        gray = hu.cpu().numpy()
        outside = find_outside(gray, SPACING_MM)
        hu = hu.masked_fill(torch.from_numpy(outside).to(hu.device), torch.nan)
        box = _find_known(hu.isfinite().cpu().numpy())
        return hu[box], np.isfinite(gray)[box], crop_grid(grid, box).affine

    def predict(self, hu: Tensor, progress: Progress) -> Tensor:
        """Probability of lung for every voxel of `hu`; 0 where nothing is known."""
        cuda = self._device.startswith("cuda")
        windows = 0

        def look(patch: Tensor) -> Tensor:
            nonlocal windows
            windows += 1
            progress(0.6 - 0.45 * 0.9**windows, "segment")
            with torch.autocast("cuda", enabled=cuda):
                logits: Tensor = self.network(patch)
            return logits.float()

        with torch.inference_mode():
            logits = sliding_window_inference(
                to_input(hu)[None], fit_patch(hu.shape), 4 if cuda else 1, look, overlap=0.25, mode="gaussian"
            )
            return torch.where(hu.isnan(), 0.0, torch.sigmoid(weigh_density(logits[0, 0], hu)))


def _find_known(known: Mask) -> tuple[slice, slice, slice]:
    """The box around `known`; the whole when nothing is."""
    box = []
    for axis in range(3):
        seen = np.flatnonzero(known.any(axis=tuple({0, 1, 2} - {axis})))
        box.append(slice(int(seen[0]), int(seen[-1]) + 1) if seen.size else slice(0, known.shape[axis]))
    k, j, i = box
    return k, j, i


def _to_source(
    probability: Tensor, lungs: Mask, sides: NDArray[np.uint8], affine: Affine, grid: Grid
) -> dict[int, Mask]:
    """Side -> mask on the source's grid: probability interpolated there, and cut where the sides meet."""
    if not lungs.any():
        return {}
    # What was dropped must not come back by interpolation, and a filled hole must stay filled.
    kept = torch.from_numpy(lungs).to(probability.device)
    near = torch.nn.functional.max_pool3d(kept[None, None].float(), 3, stride=1, padding=1)[0, 0] > 0
    level = torch.where(kept, probability.clamp_min(THRESHOLD + 0.01), torch.where(near, probability, 0.0))
    level = torch.where(near & ~kept, level.clamp_max(THRESHOLD - 0.01), level)
    to_left = torch.from_numpy(np.where(sides == LEFT, 1.0, -1.0).astype(np.float32)).to(probability.device)

    def decide(level: Tensor, to_left: Tensor) -> Tensor:
        lung = level > THRESHOLD
        return torch.stack([lung & (to_left <= 0), lung & (to_left > 0)])

    right, left = project((level, to_left), affine, lungs, grid, decide, kinds=2)
    return {RIGHT: right, LEFT: left}


pipeline = LungSeg()
