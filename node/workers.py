"""`wetread workers`: who works, on what device, with which models in memory, at which job."""

import time
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from node.options import ConfigFile, use_settings
from node.oversight.workers import WorkerRow


def workers(
    as_json: Annotated[bool, typer.Option("--json")] = False,
    config_file: ConfigFile = None,
) -> None:
    """Show the workers: lanes, device, memory, warm models, the job at hand and how far it is."""
    from node import wiring
    from node.oversight.workers import list_workers

    rows = list_workers(wiring.open_ledger(use_settings(config_file)), time.time())
    out = Console()
    if as_json:
        out.print_json(data=[row.to_dict() for row in rows])
    elif rows:
        out.print(make_worker_rows(rows))
    else:
        out.print("no worker was seen within a day")


def make_worker_rows(rows: Sequence[WorkerRow]) -> Table:
    """A line each; those that fell silent in red."""
    table = Table(box=None, header_style="bold")
    for column in ("Worker", "Lanes", "Device", "Memory", "Warm models", "Job", "Activity", "Seen"):
        table.add_column(column, overflow="fold", no_wrap=column in {"Device", "Job", "Seen"})
    for row in rows:
        memory = f"{row.memory_mb:.0f} MB" + (f", GPU {row.reserved_mb:.0f} MB" if row.reserved_mb else "")
        held = (row.worker, " ".join(row.lanes), row.device, memory, ", ".join(row.models))
        words = (*held, row.job_id[:12], row.activity, _say_age(row.silent_s))
        table.add_row(*(Text(word) for word in words), style="red" if row.is_gone else None)
    return table


def _say_age(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
