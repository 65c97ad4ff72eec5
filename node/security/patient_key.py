"""Patients are found by a key made of their id and of a secret of this installation: who reads the ledger, a log or an
address learns no id, and cannot try them all.
"""

import hmac
import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path

from node.durable import sync_directory

LENGTH = 32
"""Bytes of the secret; also characters of a key."""


class PatientKeys:
    """home: of the node; the secret is made there when somebody first asks."""

    def __init__(self, home: Path) -> None:
        self._place = home / "patient.key"
        self._secret = b""

    def derive(self, patient_id: str) -> str:
        """32 hex characters, the same for the same id (spaces around it count for nothing, PS3.5 6.2); "" for none."""
        patient_id = patient_id.strip(" \0")
        if not patient_id:
            return ""
        self._secret = self._secret or self._read()
        return hmac.digest(self._secret, patient_id.encode(), "sha256").hex()[:LENGTH]

    def _read(self) -> bytes:
        """Of processes that make one at once, the first to place it wins, and all read that."""
        with suppress(FileNotFoundError):
            return self._place.read_bytes()
        self._place.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=self._place.parent, prefix="patient.key.")  # for its owner alone
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(LENGTH))
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(part, self._place)
        Path(part).unlink()
        sync_directory(self._place.parent)
        return self._place.read_bytes()
