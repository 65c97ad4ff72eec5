"""One STOW-RS request on its way to the spool, part by part, judged as a C-STORE would be.

In:  the pieces of a multipart/related body.   Out: files in spool/kept, rows, and a verdict on each part.
An upload is an association in the ledger: "released" when its body was whole, else "aborted", and then its studies wait
for the sender to come again. What was judged before the break stays: each instance is whole or not there.
"""

import logging
import os
import time
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Protocol
from uuid import uuid4

from node.dicom.deflate import DEFLATED, check_inflation
from node.dicom.identity import Identity, read_identity, read_syntax
from node.dicom.multipart import MultipartReader, PartBegin, PartData, parse_media_type
from node.errors import CannotUnderstand, OutOfResources, RefusedInstance
from node.inbound.traffic import Lane
from node.model.batch import Ended, Opened
from node.security.access import Admission
from node.services import is_storage
from node.web.dicomweb.desk import NAME, RETRY_AFTER, Desk
from node.web.refusal import Refusal

log = logging.getLogger(__name__)

STORED = 0
PROCESSING_FAILURE, NO_SUCH_CLASS, NOT_AUTHORIZED = 0x0110, 0x0122, 0x0124
OUT_OF_RESOURCES, OTHER_STUDY, CANNOT_UNDERSTAND, NO_SUCH_SYNTAX = 0xA700, 0xA900, 0xC000, 0xC122
"""Failure Reasons (PS3.18 table I.2-2); 0x0124 is DIMSE's (PS3.7 C.5)."""

MOST_PARTS = 100_000
AHEAD = 8
"""Whole parts of one upload that are synced while the next one comes."""

LOOK = 1 << 25
"""Bytes between two looks at the free space."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a part. reason: STORED or a Failure Reason. identity: None when it could not be read."""

    reason: int
    identity: Identity | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked. study_uid: that all instances must be of, "" for any."""

    admission: Admission
    study_uid: str = ""


class PartSink(Protocol):
    """Takes a body's parts, one after the other; any method may raise Refusal."""

    def begin(self, media_type: str, headers: dict[str, str]) -> None:
        """A part begins."""

    def take(self, data: bytes) -> None:
        """Its next bytes."""

    def end(self) -> None:
        """It is whole."""

    def finish(self) -> None:
        """There are no more parts."""

    def discard(self) -> None:
        """Nothing more will come: what is not whole goes. Idempotent."""


class PartFile:
    """The bytes of a part in spool/incoming. After a failure the rest is dropped."""

    def __init__(self, desk: Desk) -> None:
        self.path = Path(desk.spool.new_file())
        self.failure: OutOfResources | None = None
        self.size = 0
        self._spool = desk.spool
        self._look_at = 0
        self._fd = -1
        try:
            self._fd = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o640)
        except OSError as error:
            self._fail(error)

    def take(self, data: bytes) -> None:
        """The next bytes."""
        if self.failure is not None:
            return
        try:
            if self.size >= self._look_at:
                self._look_at = self.size + LOOK
                self._spool.check_space()
            left = memoryview(data)
            while left:
                left = left[os.write(self._fd, left) :]
            self.size += len(data)
            self._spool.spend(len(data))
        except OSError as error:
            self._fail(error)
        except OutOfResources as failure:
            self.failure = failure
            self.discard()

    def close(self) -> None:
        """No more bytes. Raises OutOfResources when not all could be written; nothing is left then."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        if self.failure is not None:
            raise self.failure

    def discard(self) -> None:
        """Removes it. Idempotent."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        with suppress(OSError):
            self.path.unlink(missing_ok=True)

    def _fail(self, error: OSError) -> None:
        self.failure = OutOfResources(f"the spool cannot be written: {error.strerror}")
        self.discard()


class Judge:
    """Admits whole Part 10 files for one upload, a few at a time: while the disk syncs some, the next ones come."""

    def __init__(self, desk: Desk, order: Order, lane: Lane) -> None:
        self._verdicts: list[Verdict | Future[Verdict]] = []
        self._desk = desk
        self._order = order
        self._lane = lane
        self._association = ""
        self._opening = Lock()
        self._settled = 0

    def admit(self, part: Path) -> None:
        """There will be a verdict on the file `part`, which is gone then: kept, set aside, or removed. Waits for an
        earlier one where there are many."""
        self._lane.wait()
        if len(self._verdicts) - self._settled >= AHEAD:
            self._settle(self._settled + 1)
        self._verdicts.append(self._desk.hands.submit(self._admit, part))

    def settle(self) -> list[Verdict]:
        """The verdicts on all parts, in their order. Idempotent."""
        return self._settle(len(self._verdicts))

    def _settle(self, count: int) -> list[Verdict]:
        for at in range(self._settled, count):
            one = self._verdicts[at]
            self._verdicts[at] = one.result() if isinstance(one, Future) else one
        self._settled = max(self._settled, count)
        return [one for one in self._verdicts[:count] if isinstance(one, Verdict)]

    def _admit(self, part: Path) -> Verdict:
        identity: Identity | None = None
        try:
            seen = self._identify(part)
            identity = seen[0] if seen else None
            reason = STORED if identity is None else self._weigh(identity)
            if reason == STORED:
                caller = self._order.admission.caller.ae_title
                self._desk.receiver.admit(part, caller, self._open(), seen=seen)
        except RefusedInstance as refusal:
            self._desk.recorder.count("refused, out of resources" if refusal.transient else "refused")
            reason = refusal.status
        except Exception:
            # An error nobody foresaw must still be an answer.
            log.exception("an uploaded instance could not be kept")
            reason = PROCESSING_FAILURE
        part.unlink(missing_ok=True)
        return Verdict(reason, identity)

    def refuse(self, reason: int) -> None:
        """A verdict on what is not even a file."""
        self._desk.recorder.count("refused")
        self._verdicts.append(Verdict(reason))

    def end(self, how: str) -> None:
        """The upload ended; returns when its rows are in the ledger. Raises Refusal 503 when that takes too long."""
        self.settle()
        if not self._association:
            return
        self._desk.recorder.end_association(Ended(self._association, how, time.time()))
        self._association = ""
        if how == "released":
            if not self._desk.recorder.flush():
                raise Refusal(503, "the ledger does not keep up", retry_after=RETRY_AFTER)
            self._check_rows()

    def _open(self) -> str:
        with self._opening:
            if not self._association:
                self._association = str(uuid4())
                caller = self._order.admission.caller.ae_title
                self._desk.recorder.open_association(Opened(self._association, NAME, caller, time.time()))
            return self._association

    def _identify(self, part: Path) -> tuple[Identity, int] | None:
        """Who it is, and where its dataset begins. None for what only `Receiver.admit` can judge, and refuses. Raises
        CannotUnderstand for what is no Part 10 file at all: it is not set aside, since nobody could say what it is."""
        syntax, offset = read_syntax(part)
        try:
            if syntax in DEFLATED:
                check_inflation(part, offset, self._desk.inflate_ratio)
            return read_identity(part, (syntax, offset)), offset
        except CannotUnderstand:
            return None

    def _weigh(self, identity: Identity) -> int:
        study_uid = self._order.study_uid
        if study_uid and identity.study_uid != study_uid:
            return OTHER_STUDY
        if not is_storage(identity.sop_class_uid):
            return NO_SUCH_CLASS
        syntaxes = self._order.admission.find_syntaxes(identity.sop_class_uid)
        if not syntaxes:
            return NOT_AUTHORIZED
        return STORED if identity.transfer_syntax_uid in syntaxes else NO_SUCH_SYNTAX

    def _check_rows(self) -> None:
        """An instance that another study or another door took at the same moment was set aside when the rows were
        written: it is not stored, whatever was thought before."""
        verdicts = self.settle()
        studies = {v.identity.study_uid for v in verdicts if v.reason == STORED and v.identity}
        held = {uid: self._desk.ledger.find_digests(uid) for uid in studies}
        for at, verdict in enumerate(verdicts):
            identity = verdict.identity
            if verdict.reason == STORED and identity and identity.sop_instance_uid not in held[identity.study_uid]:
                self._verdicts[at] = Verdict(CANNOT_UNDERSTAND, identity)


class DicomParts:
    """Parts of application/dicom: each a file, judged when it is whole (PS3.18 8.7.3.1)."""

    def __init__(self, desk: Desk, judge: Judge) -> None:
        self._desk = desk
        self._judge = judge
        self._file: PartFile | None = None

    def begin(self, media_type: str, headers: dict[str, str]) -> None:
        """Another type, or a transfer encoding, makes it nothing that we can read."""
        plain = headers.get("content-transfer-encoding", "binary").lower() in {"binary", "8bit", "7bit"}
        self._file = PartFile(self._desk) if media_type in {"application/dicom", ""} and plain else None

    def take(self, data: bytes) -> None:
        """To the disk."""
        if self._file is not None:
            self._file.take(data)

    def end(self) -> None:
        """Its verdict."""
        file, self._file = self._file, None
        if file is None:
            self._judge.refuse(CANNOT_UNDERSTAND)
            return
        try:
            file.close()
        except OutOfResources:
            self._judge.refuse(OUT_OF_RESOURCES)
        else:
            self._judge.admit(file.path)

    def finish(self) -> None:
        """Each part had its verdict."""

    def discard(self) -> None:
        """The half-written part goes."""
        if self._file is not None:
            self._file.discard()
            self._file = None


class Upload:
    """The body of a request, from its first piece to `finish` or `abort`. Waits for the disk: not for an event loop."""

    def __init__(self, desk: Desk, judge: Judge, sink: PartSink, boundary: str) -> None:
        self._reader = MultipartReader(boundary)
        self._max_bytes = desk.max_bytes
        self._judge = judge
        self._sink = sink
        self._parts = self._bytes = 0

    def feed(self, piece: bytes) -> None:
        """The next bytes. Raises Malformed, or Refusal 413."""
        self._bytes += len(piece)
        if self._bytes > self._max_bytes:
            raise Refusal(413, "the request brought more than listen.max_association_gb", close=True)
        for event in self._reader.feed(piece):
            if isinstance(event, PartBegin):
                self._begin(event)
            elif isinstance(event, PartData):
                self._sink.take(event.data)
            else:
                self._sink.end()

    def finish(self) -> list[Verdict]:
        """The body is over: the verdicts, in the order of the parts. Raises Malformed when it is not whole, Refusal."""
        self._reader.close()
        if not self._parts:
            raise Refusal(400, "the body has no part")
        self._sink.finish()
        self._judge.end("released")
        return self._judge.settle()

    def abort(self) -> int:
        """Gives up, also after `finish`; returns how many instances were stored. Idempotent."""
        self._sink.discard()
        self._judge.end("aborted")
        return sum(verdict.reason == STORED for verdict in self._judge.settle())

    def _begin(self, event: PartBegin) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise Refusal(413, f"the request has more than {MOST_PARTS} parts", close=True)
        self._sink.begin(parse_media_type(event.headers.get("content-type", "")).name, event.headers)
