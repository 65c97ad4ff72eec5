"""`wetread viewer`: OHIF beside our own pages, when an administrator wants it. Nothing is fetched otherwise."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from node.config import load_settings
from node.options import ConfigFile

app = typer.Typer(no_args_is_help=True, help="OHIF, served by the web role on a port of its own.")
out = Console()


@app.command()
def install(
    archive: Annotated[
        Path | None, typer.Option("--from", help="npm's archive of the very version, fetched elsewhere", exists=True)
    ] = None,
    config_file: ConfigFile = None,
) -> None:
    """Fetch OHIF from npm's registry (50 MB), check it, and lay the part that is needed under the node's home."""
    from node.web.viewer.install import find_size, install
    from node.web.viewer.package import NAME, VERSION

    settings = load_settings(config_file)
    folder = install(settings.node.home, archive)
    out.print(f"{NAME} {VERSION}: {find_size(folder) / 1e6:.0f} MB in {folder}", highlight=False, soft_wrap=True)
    place = f"port {settings.web.viewer_port} of {settings.web.host}"
    out.print(f"restart the web role: it serves the viewer on {place}", highlight=False, soft_wrap=True)


@app.command()
def remove(config_file: ConfigFile = None) -> None:
    """Take OHIF off this node; a web role that runs shows it no more after its restart."""
    from node.web.viewer.install import remove

    was_here = remove(load_settings(config_file).node.home)
    out.print("removed" if was_here else "there was none")
