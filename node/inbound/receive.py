"""The door's judgment, the same for C-STORE and STOW-RS: an instance is kept, known already, or refused.

In:  a whole Part 10 file in spool/incoming.   Out: a file in spool/kept and a row in the ledger.
A crash before the rename leaves a half-written file that the sweep removes (the sender got no answer and sends again);
a crash before the row leaves a kept file that the re-index finds at the next start.
"""

import logging
import time
from pathlib import Path

from node.dicom.identity import Identity, read_identity
from node.errors import CannotUnderstand, ConflictingInstance, OutOfResources, RefusedInstance
from node.inbound.spool import Spool, digest_dataset
from node.ledger import Ledger
from node.model.study import Instance, Quarantined

log = logging.getLogger(__name__)


class Receiver:
    """Admits instances into one spool and one ledger."""

    def __init__(self, spool: Spool, ledger: Ledger, min_free_mb: float) -> None:
        self._spool = spool
        self._ledger = ledger
        self._min_free_mb = min_free_mb

    def admit(self, part: Path, caller: str, association_id: str = "", announced_uid: str = "") -> str:
        """Keeps the Part 10 file `part`; returns "new" or "same" once its bytes are synced under their final name.

        announced_uid: the Affected SOP Instance UID of the C-STORE request, which the dataset must repeat.
        Raises RefusedInstance: OutOfResources leaves nothing behind, any other keeps the bytes in quarantine.
        """
        try:
            self._check_space()
            identity = read_identity(part)
            if announced_uid and identity.sop_instance_uid != announced_uid:
                raise CannotUnderstand(f"the request names instance {announced_uid}, the dataset another")
            return self._keep(part, identity, association_id)
        except OSError as error:
            raise OutOfResources(f"the spool cannot be written: {error.strerror}") from error
        except OutOfResources:
            raise
        except RefusedInstance as refusal:
            self._set_aside(part, caller, announced_uid, refusal)
            raise

    def reindex(self) -> int:
        """Adds rows for kept files that the ledger does not know; returns how many."""
        known = self._ledger.find_paths()
        added = 0
        for name in self._spool.find_kept():
            if name in known:
                continue
            path = self._spool.root / name
            try:
                identity = read_identity(path)
            except CannotUnderstand as error:
                log.error("kept file %s cannot be read back: %s", name, error)
                continue
            instance = _instance(identity, Path(name).stem, path, name, path.stat().st_mtime)
            added += self._ledger.add_instance(instance, "") == "new"
        return added

    def _check_space(self) -> None:
        free = self._spool.free_mb()
        if free < self._min_free_mb:
            raise OutOfResources(f"{free:.0f} MB free in the spool, listen.min_free_mb is {self._min_free_mb:.0f}")

    def _keep(self, part: Path, identity: Identity, association_id: str) -> str:
        digest = digest_dataset(part, identity.offset, identity.transfer_syntax_uid)
        held = self._ledger.find_instance(identity.sop_instance_uid)
        if held is not None and held.digest != digest:
            raise ConflictingInstance(f"instance {identity.sop_instance_uid} is held with another content")
        if held is not None:
            part.unlink()
            return self._ledger.add_instance(held, association_id)
        name = self._spool.keep(part, digest)
        instance = _instance(identity, digest, self._spool.root / name, name, time.time())
        verdict = self._ledger.add_instance(instance, association_id)
        if verdict == "conflict":
            (self._spool.root / name).rename(part)
            raise ConflictingInstance(f"instance {identity.sop_instance_uid} came twice at once with two contents")
        return verdict

    def _set_aside(self, part: Path, caller: str, announced_uid: str, refusal: RefusedInstance) -> None:
        if not part.exists():
            return
        name = self._spool.set_aside(part)
        self._ledger.add_quarantined(Quarantined(time.time(), name, _reason(refusal), caller, announced_uid))
        log.warning("instance %s from %s is in quarantine: %s", announced_uid or "?", caller, _reason(refusal))


def _reason(refusal: RefusedInstance) -> str:
    return f"{type(refusal).__name__}: {refusal}"


def _instance(identity: Identity, digest: str, path: Path, name: str, at: float) -> Instance:
    return Instance(
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        study_uid=identity.study_uid,
        series_uid=identity.series_uid,
        transfer_syntax_uid=identity.transfer_syntax_uid,
        digest=digest,
        size=path.stat().st_size,
        path=name,
        is_image=identity.is_image,
        received_at=at,
    )
