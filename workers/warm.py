"""Models that stay in memory between studies: loading weights for every study is what makes peers slow."""

import gc
import logging
from collections.abc import Sequence

from pipelines.catalog import get_pipeline
from pipelines.errors import PipelineError
from pipelines.pipeline import Model, SparingPipeline
from pipelines.repeatable import make_repeatable

log = logging.getLogger(__name__)


class Warm:
    """The loaded models of one child on one device."""

    def __init__(self, device: str, *, sparing: bool = False) -> None:
        """device: torch's name of it; for a GPU, this process computes repeatably from now on. sparing: with as little
        memory as they can do with (pipelines.pipeline.SparingPipeline)."""
        if device.startswith("cuda"):
            make_repeatable()
        self.device = device
        self._sparing = sparing
        self._models: dict[tuple[str, str], Model] = {}

    @property
    def names(self) -> list[str]:
        """The pipelines whose models are loaded. May be asked from another thread."""
        return sorted(name for name, _ in list(self._models))

    def get(self, name: str) -> Model:
        """The model of pipeline `name`, loaded at most once. Raises PipelineError."""
        pipeline = get_pipeline(name)
        key = (name, pipeline.manifest.weights_sha256)
        if key not in self._models:
            if self._sparing and isinstance(pipeline, SparingPipeline):
                self._models[key] = pipeline.load_sparing(self.device)
            else:
                self._models[key] = pipeline.load(self.device)
            log.info("pipeline %s %s is warm on %s", name, pipeline.manifest.version, self.device)
        return self._models[key]

    def forget(self) -> None:
        """Gives the memory of every model back; the next job loads its own again."""
        self._models.clear()
        gc.collect()
        if self.device.startswith("cuda"):
            import torch

            torch.cuda.empty_cache()

    def load_all(self, names: Sequence[str]) -> None:
        """Loads what can be loaded; what cannot fails again, by name, when a job asks for it."""
        for name in names:
            try:
                self.get(name)
            except PipelineError as error:
                log.error("pipeline %s cannot be loaded: %s", name, error)
