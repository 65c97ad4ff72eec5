"""Asks a model that has answered to explain itself, where the configuration wants that."""

from dataclasses import replace

from node.config import Settings
from node.model.job import Job
from pipelines.errors import BundleOutOfMemory, PipelineError
from pipelines.pipeline import ExplainingModel, Model, Progress
from pipelines.terms import Note, Result, Volume

LONGER = 4
"""So many times its own limit a pipeline may take that explains as well."""


def find_way(job: Job, settings: Settings) -> str:
    """The way in which the pipeline of `job` is to explain itself; "" for none."""
    chosen = settings.pipelines.get(job.pipeline)
    return chosen.explain if chosen is not None else ""


def explain(model: Model, volume: Volume, result: Result, way: str, progress: Progress) -> Result:
    """`result` with its explanation; where there can be none, with a note that says so: an answer is worth more than
    its explanation. What memory may cure is tried again as any job is."""
    if not isinstance(model, ExplainingModel):
        return _without(result, way, "the pipeline has no way to")
    try:
        return model.explain(volume, result, way, progress)
    except BundleOutOfMemory:
        raise
    except PipelineError as error:
        return _without(result, way, str(error))


def _without(result: Result, way: str, why: str) -> Result:
    return replace(result, notes=(*result.notes, Note(f"No explanation ({way}) was made: {why}.")))
