"""What is refused is set aside, not lost: moved to spool/quarantine, and a row that says why."""

import logging
import time
from contextlib import suppress
from pathlib import Path

from node.errors import RefusedInstance
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.model.study import Quarantined

log = logging.getLogger(__name__)

LOST = f"{RefusedInstance.__name__}: why was not written down, its row was lost with the process that set it aside"


def set_aside(
    spool: Spool, ledger: Ledger, path: Path, refusal: RefusedInstance, *, caller: str = "", uid: str = ""
) -> None:
    """Moves `path` to quarantine because of `refusal`; nothing happens when it is gone already.

    caller: AE title of who sent it; uid: the SOP Instance UID under which it came.
    """
    try:
        name = spool.set_aside(path)
    except FileNotFoundError:
        if path.exists():
            raise
        return  # somebody else set it aside, or retention took it
    reason = f"{type(refusal).__name__}: {refusal}"
    ledger.add_quarantined(Quarantined(time.time(), name, reason, caller, uid))
    log.warning("instance %s from %s is in quarantine: %s", uid or "?", caller or "?", reason)


def list_again(spool: Spool, ledger: Ledger) -> None:
    """Gives a row to what lies in quarantine without one: a crash, or the ledger's trouble, came between the two."""
    there = {f"quarantine/{path.name}": path for path in spool.quarantine.iterdir()}
    for name in there.keys() - {item.path for item in ledger.find_quarantined()}:
        with suppress(FileNotFoundError):
            at = there[name].stat().st_ctime
            ledger.add_quarantined(Quarantined(at, name, LOST, "", ""))
