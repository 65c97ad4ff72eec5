"""Finding a pipeline by name: ours are packages beside this file, others register an entry point."""

from importlib import import_module
from importlib.metadata import entry_points

from pipelines.errors import UnknownPipeline
from pipelines.pipeline import Pipeline
from pipelines.terms import find_manifests


def get_pipeline(name: str) -> Pipeline:
    """The pipeline `name`: the object `pipeline` of its module `pipeline.py`. Raises UnknownPipeline."""
    found = find_manifests()
    if name not in found:
        raise UnknownPipeline(f"no pipeline {name!r} is installed; there are: {', '.join(sorted(found)) or 'none'}")
    modules = {entry.name: entry.module for entry in entry_points(group="wetread.pipelines")}
    package = modules.get(name, f"pipelines.{name.replace('-', '_')}")
    pipeline: Pipeline = import_module(f"{package}.pipeline").pipeline
    return pipeline
