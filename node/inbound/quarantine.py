"""What is refused is set aside, not lost: moved to spool/quarantine, and a row that says why."""

import logging
import time
from pathlib import Path

from node.errors import RefusedInstance
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.model.study import Quarantined

log = logging.getLogger(__name__)


def set_aside(
    spool: Spool, ledger: Ledger, path: Path, refusal: RefusedInstance, *, caller: str = "", uid: str = ""
) -> None:
    """Moves `path` to quarantine because of `refusal`; nothing happens when it is gone already.

    caller: AE title of who sent it; uid: the SOP Instance UID under which it came.
    """
    if not path.exists():
        return
    name = spool.set_aside(path)
    reason = f"{type(refusal).__name__}: {refusal}"
    ledger.add_quarantined(Quarantined(time.time(), name, reason, caller, uid))
    log.warning("instance %s from %s is in quarantine: %s", uid or "?", caller or "?", reason)
