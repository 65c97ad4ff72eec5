"""brain-structures: MeshNet on the head at 1 mm, sides told apart, labels laid back on the source."""

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
from torch import Tensor

from pipelines.brain_structures.chain import parcellate
from pipelines.brain_structures.conform import conform
from pipelines.brain_structures.explain import CHANGES, vary
from pipelines.brain_structures.findings import make_result
from pipelines.brain_structures.network import MeshNet
from pipelines.brain_structures.weights import find_weights
from pipelines.errors import UnsuitableVolume
from pipelines.explanation.deviation import add_deviations
from pipelines.explanation.lay import lay
from pipelines.explanation.quantity import describe_members, name_map
from pipelines.pipeline import Progress
from pipelines.steps.nearest import lay_labels
from pipelines.steps.resample import Grid
from pipelines.terms import Manifest, Note, Result, Severity, Volume, read_manifest
from pipelines.weights import load_weights

LONGEST_VOXEL_MM = 3.0
LEAST_EXTENT_MM = 100.0


class BrainStructures:
    """The pipeline: see manifest.toml and MODEL_CARD.md."""

    manifest: Manifest = read_manifest(Path(__file__).with_name("manifest.toml"))

    def load(self, device: str) -> "StructuresModel":
        """The network on `device`. Raises WeightsMissing and WeightsMismatch."""
        return make_model(load_weights(find_weights(), self.manifest.weights_sha256), device)


def make_model(weights: dict[str, Tensor], device: str) -> "StructuresModel":
    """A model with `weights`, on `device`."""
    network = MeshNet()
    network.load_state_dict(weights)
    return StructuresModel(network.to(device).eval(), device)


class StructuresModel:
    """The network in memory on one device."""

    def __init__(self, network: MeshNet, device: str) -> None:
        self._network, self._device = network, device

    def run(self, volume: Volume, progress: Progress) -> Result:
        """The structures on either side with their volumes in mL. Raises UnsuitableVolume for what is no MR, too coarse
        or too small, not numbers, and for what then looks like no brain in T1 weighting."""
        check(volume)
        start = perf_counter()
        found = parcellate(volume, self._network, self._device, progress)
        between = perf_counter()
        progress(0.9, "project")
        labels = lay_labels(found.labels, found.head.grid.affine, Grid(volume.shape, volume.affine))
        seconds = {"inference": round(between - start, 3), "project": round(perf_counter() - between, 3)}
        result = make_result(labels, volume, found.cut, seconds)
        progress(1.0, "done")
        return result

    def explain(self, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
        """See pipelines.pipeline.ExplainingModel: "tta" alone."""
        progress(0.0, "explain")
        spread = vary(conform(volume, self._device), self._network, lambda share: progress(0.95 * share, "explain"))
        drawn = name_map(way, lay(spread.entropy, spread.affine, Grid(volume.shape, volume.affine)))
        findings = add_deviations(result.findings, spread.volumes)
        note = Note(describe_members(len(CHANGES)), Severity.INFO)
        return replace(result, findings=findings, notes=(*result.notes, note), maps=(*result.maps, drawn))


def check(volume: Volume) -> None:
    """Raises UnsuitableVolume when no answer about `volume` could be honest, before any work is done."""
    if volume.modality != "MR":
        raise UnsuitableVolume(f"brain structures are read from MR in T1 weighting, not from {volume.modality}")
    if min(volume.shape) < 2:
        raise UnsuitableVolume("one plane is no volume")
    if max(volume.spacing) > LONGEST_VOXEL_MM:
        raise UnsuitableVolume(
            f"voxels are {max(volume.spacing):.1f} mm long, of which structures of a few mm cannot be told apart"
        )
    extent = min(count * length for count, length in zip(volume.shape, volume.spacing, strict=True))
    if extent < LEAST_EXTENT_MM:
        raise UnsuitableVolume(f"the images cover {extent:.0f} mm in one direction: no whole brain is so small")
    if not np.isfinite(volume.voxels).all():
        raise UnsuitableVolume("the volume holds voxels that are not finite numbers")
    if volume.voxels.min() == volume.voxels.max():
        raise UnsuitableVolume("all voxels of the volume are alike: there is no head in it")


pipeline = BrainStructures()
