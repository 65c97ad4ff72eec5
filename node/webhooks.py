"""`wetread webhooks`: who is told of what becomes of jobs, what waits for them, and what was given up."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from node.errors import ConfigError
from node.options import ConfigFile, use_settings
from node.oversight.webhooks import HookRow

if TYPE_CHECKING:
    from node.config import Settings
    from node.ledger import Ledger

app = typer.Typer(no_args_is_help=True, help="Webhooks: who is told of what becomes of jobs.")
out = Console()

Name = Annotated[str, typer.Argument(help="as under [webhooks]")]


@app.command("list")
def list_all(as_json: Annotated[bool, typer.Option("--json")] = False, config_file: ConfigFile = None) -> None:
    """Show each webhook: whether it is reached, what waits for it, what was given up."""
    from node.oversight.webhooks import list_hooks

    rows = list_hooks(*_open(config_file))
    if as_json:
        out.print_json(data=[row.to_dict() for row in rows])
    elif rows:
        out.print(make_hook_rows(rows))
    else:
        out.print("no webhook is configured")


@app.command()
def resume(name: Name, config_file: ConfigFile = None) -> None:
    """Tell a paused webhook again, from where it stopped, and one that is away at once."""
    _, ledger = _open(config_file)
    if not ledger.resume_hook(name, time.time()):
        raise ConfigError(f"no webhook {name!r} was ever served; `wetread webhooks list` names them")
    out.print(f"{name} is told again", highlight=False)


@app.command()
def retry(name: Name, config_file: ConfigFile = None) -> None:
    """Send again what was given up."""
    _, ledger = _open(config_file)
    if name not in ledger.find_hooks():
        raise ConfigError(f"no webhook {name!r} was ever served; `wetread webhooks list` names them")
    out.print(f"{name}: {ledger.revive_notices(name, time.time())} events wait again", highlight=False)


def make_hook_rows(rows: Sequence[HookRow]) -> Table:
    """A line each; what needs somebody in red."""
    table = Table(box=None, header_style="bold")
    for column in ("Webhook", "Is", "Waiting", "Oldest", "Sent", "Given up", "Heard", "Last answer"):
        table.add_column(column, overflow="fold")
    for row in rows:
        counts = str(row.waiting), _say(row.oldest_at), str(row.sent), str(row.dead)
        words = (row.name, row.condition, *counts, _say(row.heard_at), row.answer)
        ill = row.condition in {"paused", "away"} or row.dead
        table.add_row(*(Text(word) for word in words), style="red" if ill else None)
    return table


def _say(at: float | None) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def _open(config_file: Path | None) -> tuple["Settings", "Ledger"]:
    from node import wiring

    settings = use_settings(config_file)
    return settings, wiring.open_ledger(settings)
