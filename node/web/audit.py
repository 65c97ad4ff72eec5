"""Who changed what by the web, and who was not let: one JSON object a line in home/audit.jsonl, no patient data.

The file is opened for each line, so that it may be moved away at any time.
"""

import json
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

from node.config import Settings

log = logging.getLogger(__name__)

LONGEST = 1500
"""Characters of one value: what a client says must not fill the disk, nor a line be torn."""


class Audit:
    """One file; lines of several processes do not mix."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, user: str, address: str, action: str, outcome: str | int, **details: str | int) -> None:
        """Adds a line. action: "POST /dicom-web/studies", "login", "users add"; outcome: an HTTP status, or a word."""
        entry: dict[str, str | int] = {"time": datetime.now(UTC).isoformat(timespec="milliseconds")}
        entry |= {"user": user, "address": address, "action": action, "outcome": outcome} | details
        entry = {key: value[:LONGEST] if isinstance(value, str) else value for key, value in entry.items()}
        line = (json.dumps(entry) + "\n").encode()
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.write(file, line)
            finally:
                os.close(file)
        except OSError as error:
            log.error("the audit cannot be written: %s; it would say %s by %s", error.strerror, action, user)


def find_audit(settings: Settings) -> Audit:
    """The audit of this node."""
    return Audit(settings.node.home / "audit.jsonl")
