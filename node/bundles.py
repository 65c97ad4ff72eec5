"""`wetread pipelines add | map | remove | show`: the hospital's side of MONAI bundles.

What a bundle is, the mind knows; it is asked in a process of its own, as `wetread work` asks the workers.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from node.config import Settings, load_settings
from node.errors import ConfigError, PipelineRefused
from node.options import ConfigFile
from node.sections import Trust
from pipelines.terms import Manifest, find_manifests, read_manifest

app = typer.Typer(invoke_without_command=True, help="List, add and remove pipelines.")
out = Console()

Name = Annotated[str, typer.Argument(help="a name that `wetread pipelines` lists")]


@app.callback()
def list_all(context: typer.Context, config_file: ConfigFile = None) -> None:
    """List the installed pipelines: version, what they read, what they are for and not for."""
    if context.invoked_subcommand is None:
        from node.tables import make_pipelines

        load_settings(config_file)
        out.print(make_pipelines([read_manifest(path) for path in find_manifests().values()]))


@app.command()
def add(
    bundle: Annotated[str, typer.Argument(help="folder or zip of a MONAI bundle, or NAME@VERSION of the Model Zoo")],
    name: Annotated[str, typer.Option(help="name of the pipeline; else that of the folder")] = "",
    setting: Annotated[
        list[str] | None, typer.Option("--set", help="ITEM=VALUE of its configuration, instead of its own")
    ] = None,
    concepts: Annotated[Path | None, typer.Option(help="a concepts.toml made before", exists=True)] = None,
    config_file: ConfigFile = None,
) -> None:
    """Install a MONAI bundle: scan it, pin every file, and give its outputs coded concepts."""
    settings = load_settings(config_file)
    words = [f"--set={one}" for one in setting or []]
    words += [f"--concepts={concepts.absolute()}"] if concepts else []
    # All names, since the mind makes one of the folder where none was typed.
    words += [f"--trust={one}" for one, bundle in settings.bundles.items() if bundle.trust is Trust.CODE]
    place = str(Path(bundle).absolute()) if Path(bundle).exists() else bundle
    _present(_ask(settings, "add", place, f"--name={name}", *words))


@app.command("map")
def map_concepts(name: Name, config_file: ConfigFile = None) -> None:
    """Take over what was written into the concepts.toml of a bundle."""
    _present(_ask(load_settings(config_file), "map", name))


@app.command()
def remove(name: Name, config_file: ConfigFile = None) -> None:
    """Take a bundle off this node. Jobs that name it fail by name from then on."""
    settings = load_settings(config_file)
    routes = [route.name for route in settings.routes if route.pipeline == name]
    if routes:
        raise ConfigError(f"route {routes[0]!r} names {name!r}: change the route first")
    out.print(f"removed {_ask(settings, 'remove', name)['removed']}", soft_wrap=True, highlight=False)


@app.command()
def show(name: Name, config_file: ConfigFile = None) -> None:
    """Show a pipeline's manifest, and where it lies."""
    load_settings(config_file)
    found = find_manifests().get(name)
    if found is None:
        raise PipelineRefused(f"no pipeline {name!r} is installed; `wetread pipelines` lists them")
    out.print(describe(read_manifest(found), found.parent))


@app.command()
def run(
    name: Name,
    folder: Annotated[Path, typer.Argument(help="images of a study", exists=True)],
    out_folder: Annotated[Path, typer.Option("--out", help="where the picture goes")] = Path(),
    prior: Annotated[Path | None, typer.Option(help="images of an earlier study of the patient", exists=True)] = None,
    after: Annotated[str, typer.Option(help="the pipeline it comes after, run on both studies first")] = "",
    config_file: ConfigFile = None,
) -> None:
    """Run a pipeline on the images in a folder: findings and a picture. Nothing is stored or sent."""
    settings = load_settings(config_file)
    environment = dict(os.environ) | {"WETREAD_NODE__HOME": str(settings.node.home)}
    if config_file is not None:
        environment["WETREAD_CONFIG"] = str(config_file.absolute())
    words = [name, str(folder.absolute()), str(out_folder.absolute())]
    words += [str(prior.absolute()) if prior else "", after]
    said = listen_to([sys.executable, "-m", "workers.tryout", *words], environment)
    out.print(make_findings(said))
    for line in (said["read"], *said["notes"]):
        out.print(Text(line, "dim"))
    out.print(Text(f"{said['seconds']} s. {said['picture']}".strip()), soft_wrap=True)


@app.command()
def new(
    name: Annotated[str, typer.Argument(help="name of the pipeline: small letters, digits, hyphens")],
    folder: Annotated[Path | None, typer.Option(help="where; else ./NAME")] = None,
) -> None:
    """Write the beginning of a pipeline of your own: manifest, pipeline, and a test that passes."""
    from node.scaffold import write_scaffold

    home = folder or Path(name)
    for path in write_scaffold(name, home):
        out.print(Text(str(path)), soft_wrap=True)
    out.print(Text(f"export PYTHONPATH={home.absolute()}  # then wetread and its node find {name}"), soft_wrap=True)


def make_findings(said: Mapping[str, Any]) -> Table:
    """What a pipeline found, a row each."""
    table = Table("finding", "where", "values", box=None)
    for finding in said["findings"]:
        values = "; ".join([*([] if finding["present"] else ["absent"]), *finding["values"]])
        # Text, since brackets are part of many units and markup to rich.
        table.add_row(Text(finding["what"]), Text(finding["where"]), Text(values))
    return table


def describe(manifest: Manifest, home: Path) -> Group:
    """All that a manifest says, a line each."""
    rows = {
        "pipeline": f"{manifest.name} {manifest.version}",
        "title": manifest.title,
        "made by": manifest.manufacturer,
        "reads": manifest.requires.in_words(),
        "gives": "; ".join(f"{code.meaning} ({code.value} {code.scheme})" for code in manifest.gives) or "nothing yet",
        "lacks": ", ".join(manifest.lacks),
        "explains": ", ".join(manifest.explains),
        "for": manifest.intended_use,
        "not for": manifest.not_for,
        "pinned": f"sha256 {manifest.weights_sha256}",
        "lies in": str(home),
    }
    return Group(*(Text(f"{key:9}{value}", overflow="fold") for key, value in rows.items() if value))


def _ask(settings: Settings, verb: str, what: str, *words: str) -> dict[str, Any]:
    """What the mind answers. Raises PipelineRefused with its sentence."""
    command = [sys.executable, "-m", "pipelines.bundles", verb, what, f"--shelf={settings.shelf}", *words]
    return listen_to(command, dict(os.environ))


def listen_to(command: Sequence[str], environment: Mapping[str, str]) -> dict[str, Any]:
    """The JSON object on the last line that `command` prints. Raises PipelineRefused with the sentence of an error."""
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    lines = answer.stdout.strip().splitlines()
    if not lines:
        raise PipelineRefused(f"the mind gave no answer, exit code {answer.returncode}")
    said: dict[str, Any] = json.loads(lines[-1])
    if "error" in said:
        raise PipelineRefused(f"{said['error']}: {said['text']}")
    return said


def _present(said: dict[str, Any]) -> None:
    text = Text(f"{said['name']} {said['version']} in {said['home']}")
    out.print(text, soft_wrap=True)
    if not said["has_weights"]:
        large = Path(said["home"]) / "bundle" / "large_files.yml"
        where = "its large_files.yml says where they are" if large.is_file() else "its makers have them"
        words = (
            f"it holds no weights, so its jobs will fail: {where}; put them into models/, remove it and add it again"
        )
        out.print(Text(words, "yellow"), soft_wrap=True)
    if said["lacks"]:
        lacks = ", ".join(said["lacks"])
        text = Text(f"needs concepts: {lacks}\nwrite them into {said['home']}/concepts.toml, then: ", "yellow")
        out.print(text.append(f"wetread pipelines map {said['name']}"), soft_wrap=True)
