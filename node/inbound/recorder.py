"""What the door saw, written to the ledger by one thread, many rows in one transaction.

In:  instances that are safe in the spool, associations that open and end, counts.   Out: rows.
0x0000 does not wait for the row: a crash loses at most the rows of the last moments, never a file, and the re-index at
the next start makes them again. When the ledger does not keep up, the door waits and then refuses; when nobody writes
any more, it refuses at once.
"""

import logging
import time
from threading import Condition, Thread

from sqlalchemy.exc import SQLAlchemyError

from node.errors import ConflictingInstance, OutOfResources
from node.inbound.known import Known
from node.inbound.quarantine import set_aside
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.model.batch import Batch, Ended, Opened
from node.model.study import Instance

log = logging.getLogger(__name__)

GATHER = 0.2
"""Seconds in which rows are gathered for one transaction, unless somebody waits for them."""

MOST = 4096
"""Rows that wait at most; then the door waits too."""

PATIENCE = 20.0
"""Seconds that the door waits for the ledger before it refuses."""


class Recorder:
    """One ledger behind one thread, from `start` to `stop`."""

    def __init__(self, ledger: Ledger, spool: Spool) -> None:
        self._ledger = ledger
        self._spool = spool
        self._change = Condition()
        self._next = Batch()
        self._known = Known(ledger.find_digests)
        self._pending: dict[str, str] = {}
        self._written = self._given = 0
        self._waiting = 0
        self._running = True
        self._is_dead = False
        self._thread = Thread(target=self._run, name="recorder", daemon=True)

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def stop(self) -> None:
        """Writes what waits, for some seconds at most, and ends."""
        with self._change:
            self._running = False
            self._change.notify_all()
        self._thread.join(10)

    def find_digest(self, study_uid: str, sop_instance_uid: str) -> str | None:
        """The digest that the study holds under this uid, its row written or waiting, as far as this process knows.
        What another study or another listener holds under it the ledger finds when the row is written."""
        return self._pending.get(sop_instance_uid) or self._known.find(study_uid, sop_instance_uid)

    def add(self, instance: Instance, association_id: str) -> str:
        """Records an instance that is safe in the spool: "new", or "same" when its row waits already.

        Raises ConflictingInstance when the row of another content waits, OutOfResources when the ledger does not keep
        up or nobody writes to it any more; then nothing is recorded.
        """
        with self._change:
            if not self._change.wait_for(lambda: self._is_dead or len(self._next.instances) < MOST, PATIENCE):
                raise OutOfResources("the ledger does not keep up")
            if self._is_dead:
                raise OutOfResources("the thread that writes to the ledger ended on an error: restart the node")
            held = self._pending.get(instance.sop_instance_uid)
            if held is not None and held != instance.digest:
                raise ConflictingInstance(f"two contents came at once under {instance.sop_instance_uid}")
            self._pending[instance.sop_instance_uid] = instance.digest
            self._known.add(instance.study_uid, instance.sop_instance_uid, instance.digest)
            self._next.instances.append((instance, association_id))
            self._tell()
            return "new" if held is None else "same"

    def open_association(self, opened: Opened) -> None:
        """An association that brings images."""
        with self._change:
            self._next.opened.append(opened)
            self._tell()

    def end_association(self, ended: Ended) -> None:
        """Its end, written after all its instances."""
        with self._change:
            self._next.ended.append(ended)
            self._tell()

    def count(self, what: str) -> None:
        """One more of `what` at this door."""
        with self._change:
            self._next.counts[what] += 1
            self._tell()

    def flush(self, patience: float = PATIENCE) -> bool:
        """Waits until all that was given is written; False when it takes longer than `patience` seconds."""
        with self._change:
            mark = self._given
            self._waiting += 1
            self._change.notify_all()
            try:
                written = self._change.wait_for(lambda: self._is_dead or self._written >= mark, patience)
            finally:
                self._waiting -= 1
            return written and not self._is_dead

    def _tell(self) -> None:
        self._given += 1
        if self._given == self._written + 1:
            self._change.notify_all()

    def _run(self) -> None:
        try:
            self._go_on()
        except BaseException:
            log.critical("no more rows are written to the ledger, the door refuses from now on: restart the node")
            with self._change:
                self._is_dead = True
                self._change.notify_all()
            raise

    def _go_on(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._given > self._written or not self._running)
                if self._given == self._written:
                    return
                self._change.wait_for(lambda: self._waiting or not self._running, GATHER)
                batch, self._next, mark = self._next, Batch(), self._given
                self._change.notify_all()
            self._write(batch)
            with self._change:
                for instance, _ in batch.instances:
                    self._pending.pop(instance.sop_instance_uid, None)
                self._written = mark
                self._change.notify_all()

    def _write(self, batch: Batch) -> None:
        """Until it is written: the rows are all that says what was received, the ledger's trouble is not ours."""
        wait = 0.1
        while True:
            try:
                conflicts = self._ledger.record(batch)
            except Exception as error:
                trace = None if isinstance(error, SQLAlchemyError) else error
                text = "the ledger cannot be written, %d rows wait: %s"
                log.error(text, len(batch.instances), type(error).__name__, exc_info=trace)
                if not self._running:
                    return
                time.sleep(wait)
                wait = min(2 * wait, 5.0)
            else:
                break
        for instance, association_id in conflicts:
            try:
                self._set_aside(instance, association_id, batch)
            except Exception:
                uid = instance.sop_instance_uid
                log.exception("instance %s could not be set aside: the re-index at the next start does it", uid)

    def _set_aside(self, instance: Instance, association_id: str, batch: Batch) -> None:
        """A uid that another study holds, or that two listeners took at the same moment: the second content goes to
        quarantine."""
        self._known.forget(instance.study_uid)
        uid = instance.sop_instance_uid
        caller = next((opened.caller for opened in batch.opened if opened.id == association_id), "")
        refusal = ConflictingInstance(f"another content is held under {uid}")
        set_aside(self._spool, self._ledger, self._spool.root / instance.path, refusal, caller=caller, uid=uid)
