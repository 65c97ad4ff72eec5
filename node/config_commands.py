"""`wetread config`: whether the configuration is right, what is in force, and who may send what from where."""

import typer
from rich.console import Console

from node.errors import ConfigError
from node.options import ConfigFile, use_settings

app = typer.Typer(no_args_is_help=True, help="Check or show the configuration.")
out = Console()


@app.command()
def check(config_file: ConfigFile = None) -> None:
    """Say whether the configuration is right; an error names the key."""
    from node.premises import find_lacking
    from node.web.access.anonymous import find_anonymous

    settings = use_settings(config_file)
    find_anonymous(settings)
    if lacking := find_lacking(settings):
        raise ConfigError("; ".join(lacking))
    out.print(f"right: {len(settings.routes)} routes, {len(settings.peers)} peers, home {settings.node.home}")


@app.command()
def show(config_file: ConfigFile = None) -> None:
    """Print the configuration in force, defaults included, secrets hidden."""
    data = use_settings(config_file).model_dump(mode="json", by_alias=True)
    if data["queue"]["url"]:
        data["queue"]["url"] = "(set)"
    out.print_json(data=data)


@app.command()
def peers(config_file: ConfigFile = None) -> None:
    """List who may send what from where, and how each peer confirms our results."""
    from node.tables import make_peers

    out.print(make_peers(use_settings(config_file)))
