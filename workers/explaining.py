"""Asks a model that has answered to explain itself, where the configuration wants that."""

from collections.abc import Callable
from dataclasses import replace

from node.config import Settings
from node.model.job import Job
from pipelines.errors import BundleOutOfMemory, PipelineError
from pipelines.pipeline import ContextExplainingModel, ExplainingModel, Model, Progress
from pipelines.terms import Context, Note, Result, Volume

LONGER = 4
"""So many times its own limit a pipeline may take that explains as well."""


def find_way(job: Job, settings: Settings) -> str:
    """The way in which the pipeline of `job` is to explain itself; "" for none."""
    chosen = settings.pipelines.get(job.pipeline)
    return chosen.explain if chosen is not None else ""


def explain(
    model: Model,
    volume: Volume,
    result: Result,
    way: str,
    progress: Progress,
    make_context: Callable[[], Context] = Context,
) -> Result:
    """`result` with its explanation; where there can be none, with a note that says so: an answer is worth more than
    its explanation. What memory may cure is tried again as any job is. make_context: gives what the model was told
    beside the volume, to one that asks for it."""
    if not isinstance(model, ExplainingModel):
        return _without(result, way, "the pipeline has no way to")
    try:
        if isinstance(model, ContextExplainingModel):
            return model.explain_with(volume, make_context(), result, way, progress)
        return model.explain(volume, result, way, progress)
    except BundleOutOfMemory:
        raise
    except PipelineError as error:
        return _without(result, way, str(error))


def _without(result: Result, way: str, why: str) -> Result:
    return replace(result, notes=(*result.notes, Note(f"No explanation ({way}) was made: {why}.")))
