"""The Protocol that every pipeline keeps: load once, run many times, speak only in terms."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from pipelines.terms import Context, Manifest, Result, Volume

Progress = Callable[[float, str], None]
"""Called with the share done (0..1) and a short activity such as "resample"."""


class Model(Protocol):
    """A pipeline whose weights are in memory on one device: kept warm between studies."""

    def run(self, volume: Volume, progress: Progress) -> Result:
        """What the model says of `volume`; masks lie on the volume's own grid.

        Raises pipelines.errors.UnsuitableVolume when the volume cannot be answered honestly.
        """
        ...


@runtime_checkable
class ContextModel(Model, Protocol):
    """A Model that asks for more than the volume: a worker calls `run_with`, and `run` is for where nothing else is
    known. `wetread pipelines run` knows what the header says of the series, and no more."""

    def run_with(self, volume: Volume, context: Context, progress: Progress) -> Result:
        """See Model.run; `context` has what was gathered, and may have nothing."""
        ...


@runtime_checkable
class ExplainingModel(Model, Protocol):
    """A Model that can also say why it answered so, or how steadily, in the ways of its manifest's `explains`."""

    def explain(self, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
        """`result`, which `run` gave for this very volume, with maps of `way` on the volume's grid, and where it is
        honest with numbers. Segments and findings stay what they are. Raises PipelineError when it cannot be said.
        """
        ...


@runtime_checkable
class ContextExplainingModel(ContextModel, ExplainingModel, Protocol):
    """An ExplainingModel whose explanation, too, asks for more than the volume: a worker calls `explain_with`, and
    `explain` is for where nothing else is known."""

    def explain_with(self, volume: Volume, context: Context, result: Result, way: str, progress: Progress) -> Result:
        """See ExplainingModel.explain; `context` is the one with which `run_with` gave `result`."""
        ...


@runtime_checkable
class SparingPipeline(Protocol):
    """A Pipeline that can also do with less memory, where its answer may then be another: that is said in a note."""

    def load_sparing(self, device: str) -> Model:
        """See Pipeline.load."""
        ...


class Pipeline(Protocol):
    """One algorithm: its manifest, and how to bring it to life on a device."""

    manifest: Manifest

    def load(self, device: str) -> Model:
        """Weights checked against manifest.weights_sha256, then placed on `device` ("cpu", "cuda:0").

        Raises pipelines.errors.WeightsMismatch when the file is not the pinned one, WeightsMissing when absent.
        """
        ...
