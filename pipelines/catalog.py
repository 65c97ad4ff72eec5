"""Finding a pipeline by name: ours are packages beside this file, others register an entry point, bundles lie on a
shelf."""

from importlib import import_module
from importlib.metadata import entry_points

from pipelines.errors import UnknownPipeline
from pipelines.pipeline import Pipeline
from pipelines.terms import find_manifests, get_shelf


def get_pipeline(name: str) -> Pipeline:
    """The pipeline `name`: the object `pipeline` of its module `pipeline.py`, or the bundle of that name on the shelf.
    Raises UnknownPipeline."""
    found = find_manifests()
    if name not in found:
        raise UnknownPipeline(f"no pipeline {name!r} is installed; there are: {', '.join(sorted(found)) or 'none'}")
    home = found[name].parent
    if home.parent == get_shelf().folder:
        from pipelines.bundles.pipeline import BundlePipeline

        return BundlePipeline(home)
    modules = {entry.name: entry.module for entry in entry_points(group="wetread.pipelines")}
    package = modules.get(name, f"pipelines.{name.replace('-', '_')}")
    pipeline: Pipeline = import_module(f"{package}.pipeline").pipeline
    return pipeline
