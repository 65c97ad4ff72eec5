"""A copy of what the node has promised and was told, taken while it runs: its ledger, its worklist, its orders.

Each file is one moment of its database, whole or not there. The moments follow each other in the order in which one
file relies on the next: the worklist says how far of the ledger's history it has followed, so it is copied first and
reads the rest again; a job's order is written before the job, so the orders come last.
"""

from pathlib import Path

from node.config import Settings
from node.ledger.integrity import copy_database, copy_ledger

LEDGER, WORKLIST, ORDERS = "ledger.sqlite", "worklist.sqlite", "orders.sqlite"


def back_up(settings: Settings, folder: Path) -> list[Path]:
    """Writes the copies into `folder`, made when it is not there, under the names that they have in the node's home;
    what was there under these names is replaced. A node that never had a worklist or orders has no copy of them.
    Returns what was written. Raises DamagedLedger, with nothing replaced by a damaged file, OSError, and ValueError for
    a ledger that is no SQLite file or a `folder` that the node works in."""
    if folder.resolve() == settings.node.home.resolve():
        raise ValueError("that is the home of the node")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = []
    if (worklist := settings.node.home / WORKLIST).exists():
        written.append(copy_database(worklist, folder / WORKLIST))
    written.append(copy_ledger(settings.ledger_url, folder / LEDGER))
    if settings.order_book.exists():
        written.append(copy_database(settings.order_book, folder / ORDERS))
    return written
