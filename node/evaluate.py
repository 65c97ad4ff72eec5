"""`wetread evaluate`: how good a pipeline is on cases with reference answers; the workers run it."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from node.bundles import listen_to
from node.config import load_settings
from node.options import ConfigFile

out = Console()


def evaluate(
    pipeline: Annotated[str, typer.Argument(help="a name that `wetread pipelines` lists")],
    dataset: Annotated[Path, typer.Argument(help="a folder of cases with a folder `reference` each", exists=True)],
    out_folder: Annotated[Path, typer.Option("--out", help="where Markdown and the picture go")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object and nothing else")] = False,
    config_file: ConfigFile = None,
) -> None:
    """Say how good a pipeline is on cases with reference answers: Dice, FROC, AUC, classes, with 95 % intervals from a
    seeded bootstrap, and the worst case as a picture."""
    settings = load_settings(config_file)
    environment = dict(os.environ) | {"WETREAD_NODE__HOME": str(settings.node.home)}
    if config_file is not None:
        environment["WETREAD_CONFIG"] = str(config_file.absolute())
    command = f"wetread evaluate {pipeline} {dataset}"
    words = [pipeline, str(dataset.absolute()), str(out_folder.absolute()), command]
    said = listen_to([sys.executable, "-m", "workers.evaluation", *words], environment)
    if as_json:
        out.print_json(data=said)
        return
    out_folder.mkdir(parents=True, exist_ok=True)
    markdown = out_folder / f"{pipeline}.md"
    markdown.write_text(said["markdown"], "utf-8")
    for one in said["tables"]:
        table = Table(*one["head"], title=Text(one["title"]), title_justify="left", box=None)
        for row in one["rows"]:
            table.add_row(*map(Text, row))
        out.print(table)
    for warning in said["warnings"]:
        out.print(Text(warning, "yellow"), soft_wrap=True)
    worst = f"worst case: {said['worst']}" if said["worst"] else "no case is faulty"
    for line in (f"{len(said['cases'])} cases; {worst}", said["picture"], str(markdown)):
        out.print(Text(line), soft_wrap=True)
