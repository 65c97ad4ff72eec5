"""The door's judgment, the same for C-STORE and STOW-RS: an instance is kept, known already, or refused.

In:  a Part 10 file in spool/incoming.   Out: a file in spool/kept, and its row on the way to the ledger.
A crash before the answer leaves a half-written or an unknown whole file (the sender got no answer and sends again); a
crash before the row leaves a kept file that the re-index finds at the next start.
"""

import logging
import os
import time
from pathlib import Path
from uuid import uuid4

from node.dicom.deflate import DEFLATED, check_inflation
from node.dicom.file_meta import encode_file_meta
from node.dicom.identity import Identity, find_identity, read_identity, read_sender, read_syntax
from node.errors import CannotUnderstand, ConflictingInstance, OutOfResources, RefusedInstance, WrongClass
from node.inbound.intake import Intake
from node.inbound.quarantine import list_again, set_aside
from node.inbound.recorder import Recorder
from node.inbound.spool import Spool, digest_dataset, is_same_dataset, name_kept
from node.ledger import Ledger
from node.model.batch import Batch, Ended, Opened
from node.model.study import Instance

log = logging.getLogger(__name__)


class Receiver:
    """Admits instances into one spool and, by its recorder, one ledger."""

    def __init__(self, spool: Spool, ledger: Ledger, recorder: Recorder, inflate_ratio: int = 100) -> None:
        self._spool = spool
        self._ledger = ledger
        self._recorder = recorder
        self._inflate_ratio = inflate_ratio

    def begin(self, sop_class: str, sop_instance: str, syntax: str, caller: str = "") -> Intake:
        """A file for the dataset that a C-STORE request of `caller` announces. It says who sent it: should its row be
        lost with this process, the re-index still knows whose study it is."""
        return Intake(self._spool, encode_file_meta(sop_class, sop_instance, syntax, caller), syntax)

    def finish(self, intake: Intake, announced: tuple[str, str], caller: str, association_id: str) -> str:
        """Keeps what came; returns "new" or "same" once its bytes are synced under their final name.

        announced: SOP class and instance of the request, which the dataset must repeat.
        Raises RefusedInstance: OutOfResources leaves nothing behind, any other keeps the bytes in quarantine.
        """
        intake.flush()
        try:
            if intake.failure is not None:
                raise intake.failure
            if intake.syntax in DEFLATED:
                check_inflation(Path(intake.part), len(intake.header), self._inflate_ratio)
            identity = find_identity(intake.head, intake.syntax) or read_identity(Path(intake.part))
            _check_announced(identity, announced)
            verdict = self._keep(intake.part, intake.fd, identity, intake.hexdigest(), intake.size, association_id)
            intake.is_kept = True
            return verdict
        except OSError as error:
            raise OutOfResources(f"the spool cannot be written: {error.strerror}") from error
        except OutOfResources:
            raise
        except RefusedInstance as refusal:
            set_aside(self._spool, self._ledger, Path(intake.part), refusal, caller=caller, uid=announced[1])
            raise
        finally:
            intake.discard()

    def admit(
        self,
        part: Path,
        caller: str,
        association_id: str = "",
        announced_uid: str = "",
        seen: tuple[Identity, int] | None = None,
    ) -> str:
        """The same for a whole Part 10 file in spool/incoming, as STOW-RS brings it; its preamble and File Meta
        Information stay as they are. announced_uid: what the sender called it, if it did. seen: who it is and where
        its dataset begins, from one who read it and looked at how far it inflates."""
        fd = -1
        try:
            fd = os.open(part, os.O_RDONLY)
            self._spool.check_space()
            identity, offset = seen or self._look(part)
            _check_announced(identity, (identity.sop_class_uid, announced_uid or identity.sop_instance_uid))
            digest = digest_dataset(part, offset, identity.transfer_syntax_uid)
            return self._keep(str(part), fd, identity, digest, part.stat().st_size, association_id)
        except OSError as error:
            raise OutOfResources(f"the spool cannot be written: {error.strerror}") from error
        except OutOfResources:
            part.unlink(missing_ok=True)
            raise
        except RefusedInstance as refusal:
            set_aside(self._spool, self._ledger, part, refusal, caller=caller, uid=announced_uid)
            raise
        finally:
            if fd >= 0:
                os.close(fd)

    def reindex(self) -> int:
        """Adds rows for kept files that the ledger does not know; returns how many. They came on an association that
        was lost with its rows: their study waits for its sender as after any that broke off, and goes by who sent it.
        A file that is not what its name says is what a power cut left of it, before anybody was told that it is kept:
        it goes to quarantine, where what has no row is given one."""
        added, lost = 0, dict[tuple[str, str], str]()
        for name in self._ledger.find_unknown(self._spool.find_kept()):
            added += self._reindex_file(name, lost)
        list_again(self._spool, self._ledger)
        if added:
            log.warning("%d kept files had no row in the ledger; they have one now", added)
        return added

    def _reindex_file(self, name: str, lost: dict[tuple[str, str], str]) -> bool:
        """lost: (study, sender) -> the association made up for what came of it."""
        path = self._spool.root / name
        try:
            identity = read_identity(path)
            syntax, offset = read_syntax(path)
            if digest_dataset(path, offset, syntax) != path.stem:
                raise CannotUnderstand("the file is not what its name says")
        except FileNotFoundError:
            return False
        except CannotUnderstand as error:
            set_aside(self._spool, self._ledger, path, CannotUnderstand(f"{name}: {error}"))
            return False
        stat = path.stat()
        instance = _instance(identity, path.stem, stat.st_size, name, stat.st_mtime)
        batch, key = Batch(), (identity.study_uid, read_sender(path))
        if key not in lost:
            lost[key] = str(uuid4())
            batch.opened.append(Opened(lost[key], "reindex", key[1], instance.received_at))
            batch.ended.append(Ended(lost[key], "lost", instance.received_at))
        batch.instances.append((instance, lost[key]))
        if self._ledger.record(batch):
            uid = identity.sop_instance_uid
            refusal = ConflictingInstance(f"another content is held under {uid}")
            set_aside(self._spool, self._ledger, path, refusal, uid=uid)
            return False
        return True

    def _look(self, part: Path) -> tuple[Identity, int]:
        """Who it is, and where its dataset begins."""
        syntax, offset = read_syntax(part)
        if syntax in DEFLATED:
            check_inflation(part, offset, self._inflate_ratio)
        return read_identity(part, (syntax, offset)), offset

    def _keep(self, part: str, fd: int, identity: Identity, digest: str, size: int, association_id: str) -> str:
        uid = identity.sop_instance_uid
        held = self._recorder.find_digest(identity.study_uid, uid)
        if held is not None and held != digest:
            raise ConflictingInstance(f"another content is held under {uid}")
        if held is not None and self._is_kept(part, digest):
            self._link_again(identity, digest, size, association_id)
            os.unlink(part)  # noqa: PTH108
            return "same"
        try:
            name = self._spool.keep(part, fd, digest)
        except FileExistsError:
            raise ConflictingInstance(f"another content has the digest of {uid}") from None
        try:
            return self._recorder.add(_instance(identity, digest, size, name, time.time()), association_id)
        except ConflictingInstance:
            (self._spool.root / name).rename(part)
            raise

    def _is_kept(self, part: str, digest: str) -> bool:
        """True when the content of `part` lies in the spool, byte for byte."""
        try:
            return is_same_dataset(Path(part), self._spool.root / name_kept(digest))
        except FileNotFoundError:
            return False

    def _link_again(self, identity: Identity, digest: str, size: int, association_id: str) -> None:
        """An instance that is held already came again: its association belongs to the study all the same, and retention
        must know."""
        name = name_kept(digest)
        self._recorder.add(_instance(identity, digest, size, name, time.time()), association_id)


def _check_announced(identity: Identity, announced: tuple[str, str]) -> None:
    if identity.sop_instance_uid != announced[1]:
        raise CannotUnderstand(f"the dataset is not the instance that was announced, {announced[1]}")
    if identity.sop_class_uid != announced[0]:
        raise WrongClass(f"the dataset is not of the announced class, {announced[0]}")


def _instance(identity: Identity, digest: str, size: int, name: str, at: float) -> Instance:
    return Instance(
        sop_instance_uid=identity.sop_instance_uid,
        sop_class_uid=identity.sop_class_uid,
        study_uid=identity.study_uid,
        series_uid=identity.series_uid,
        transfer_syntax_uid=identity.transfer_syntax_uid,
        digest=digest,
        size=size,
        path=name,
        is_image=identity.is_image,
        received_at=at,
    )
