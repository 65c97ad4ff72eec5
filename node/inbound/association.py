"""One association from its request to its end, on a thread of its own: the loop under every image that comes.

Only command sets are parsed here. The fragments of an instance go from the socket's buffer to the file as they lie.
"""

import logging
import time
from dataclasses import dataclass
from typing import Protocol
from uuid import uuid4

from node.dicom import command as dimse
from node.dicom.command import Command, get_number, get_uid, read_command, write_command
from node.errors import OutOfResources, ProtocolViolation, RefusedInstance
from node.inbound.budget import Budget
from node.inbound.intake import Intake
from node.inbound.negotiate import Context
from node.inbound.receive import Receiver
from node.inbound.recorder import Recorder
from node.inbound.wire import (
    A_ABORT,
    A_RELEASE_RQ,
    COMMAND,
    HEAD,
    LAST,
    P_DATA_TF,
    UNEXPECTED_PDU,
    UNRECOGNIZED_PDU,
    Gone,
    Silent,
    Wire,
)
from node.model.batch import Ended, Opened

log = logging.getLogger(__name__)

LONGEST_COMMAND = 1 << 14
LONGEST_MESSAGE = 1 << 23
"""Bytes of a data set that is read into memory: a storage commitment of 50,000 instances has about 7 MB."""


class Services(Protocol):
    """What answers messages other than C-STORE and C-ECHO."""

    def answer(self, association: "Association", context: Context, command: Command, data_set: bytes) -> None:
        """Sends the answer. Raises ProtocolViolation when nobody here speaks of that."""
        ...


class Pace(Protocol):
    """What slows a sender."""

    def wait(self) -> None:
        """Sleeps as long as it must before an instance is answered."""
        ...


@dataclass(frozen=True, slots=True)
class Door:
    """What all associations of a listener share. name: of the listener; max_pdu: that we announce; max_bytes: that one
    association may bring."""

    name: str
    max_pdu: int
    max_bytes: int
    receiver: Receiver
    recorder: Recorder
    services: Services
    memory: Budget


@dataclass(frozen=True, slots=True)
class _Store:
    """A C-STORE under way."""

    context: Context
    intake: Intake
    sop_class: str
    uid: str
    message_id: int


class Association:
    """An accepted association; `run` serves it until it ends.

    contexts: what was agreed, by id. longest: the longest P-DATA that the caller takes, 0 for any.
    """

    def __init__(
        self, wire: Wire, contexts: dict[int, Context], caller: str, longest: int, pace: Pace, door: Door
    ) -> None:
        self.caller = caller
        self._wire = wire
        self._contexts = contexts
        self._longest = longest
        self._pace = pace
        self._door = door
        self._left = door.max_bytes
        self._id = ""
        self._part = bytearray()
        self._command: Command | None = None
        self._context: Context | None = None
        self._store: _Store | None = None
        self._message_number = 0
        self._taken = 0
        self._rest = 0
        self._canceled = -1
        self._is_answering = False
        self._kept = self.refused = 0
        self._why = ""

    def describe(self) -> str:
        """How many images it brought, and why the last one was refused; "" where it brought none."""
        refused = f", {self.refused} refused, the last one because {self._why}" if self.refused else ""
        return f"{self._kept} images taken{refused}" if self._kept or self.refused else ""

    def run(self) -> str:
        """Serves until release, abort, silence, or a broken line; says in the ledger how it ended, and here. Raises
        ProtocolViolation after it was aborted for that."""
        how = "aborted"
        try:
            self._serve()
            how = "released"
        except Gone:
            pass
        except Silent:
            how = "idle" if self._command is None and not self._part else "aborted"
            self._wire.send_abort(0)
        except ProtocolViolation as violation:
            self._wire.send_abort(violation.reason)
            raise
        finally:
            self._give_back()
            if self._store is not None:
                self._store.intake.discard()
            if self._id:
                self._door.recorder.end_association(Ended(self._id, how, time.time()))
        return how

    def send(self, context: Context, fields: dict[int, int | str], data_set: bytes = b"") -> None:
        """Sends a DIMSE message."""
        self._wire.send_message(context.id, write_command(fields), data_set, self._longest)

    def next_message_id(self) -> int:
        """For a request of ours."""
        self._message_number = self._message_number % 0xFFFF + 1
        return self._message_number

    def is_canceled(self, message_id: int) -> bool:
        """True once the caller wants no more answers to its request `message_id` (C-CANCEL). Reads what came meanwhile:
        nothing but that may. Raises Gone, Silent or ProtocolViolation."""
        self._is_answering = True
        try:
            while self._canceled != message_id and not self._rest and self._wire.has_more():
                kind, length = self._wire.read_head()
                if kind == A_ABORT:
                    raise Gone
                if kind != P_DATA_TF:
                    raise ProtocolViolation(f"PDU type {kind:#04x} while a request is answered", UNEXPECTED_PDU)
                self._take_data(length)
        finally:
            self._is_answering = False
        return self._canceled == message_id

    def _serve(self) -> None:
        wire = self._wire
        while True:
            kind, length = wire.read_head()
            if kind == P_DATA_TF:
                self._take_data(length)
            elif kind == A_RELEASE_RQ:
                if self._command is not None or self._part:
                    raise ProtocolViolation("a release in the middle of a message", UNEXPECTED_PDU)
                wire.send_release()
                return
            elif kind == A_ABORT:
                raise Gone
            else:
                reason = UNEXPECTED_PDU if 1 <= kind <= 7 else UNRECOGNIZED_PDU
                raise ProtocolViolation(f"PDU type {kind:#04x} within an association", reason)

    def _take_data(self, left: int) -> None:
        """A P-DATA-TF of `left` bytes: any number of value items (PS3.8 9.3.5)."""
        if left > self._door.max_pdu:
            raise ProtocolViolation(f"a P-DATA-TF of {left} bytes, {self._door.max_pdu} were agreed")
        self._left -= left
        if self._left < 0:
            raise ProtocolViolation("the association brought more than listen.max_association_gb", 0)
        wire = self._wire
        while True:
            if left < HEAD:
                raise ProtocolViolation(f"a P-DATA-TF with {left} bytes where a value item should begin")
            length, context, flags = wire.read_item(left)
            left -= length + HEAD
            self._rest = left
            if flags & COMMAND:
                self._take_command(length, context, flags)
            elif self._store is not None and context == self._store.context.id:
                # From the buffer to the file, as they lie.
                wire.take(length, self._store.intake.pieces)
                if flags & LAST:
                    self._finish_store(self._store)
            else:
                self._take_message(length, context, flags)
            if not left:
                return

    def _take_command(self, length: int, context_id: int, flags: int) -> None:
        if self._command is not None:
            raise ProtocolViolation("a command while the data set of another is awaited", UNEXPECTED_PDU)
        if len(self._part) + length > LONGEST_COMMAND:
            raise ProtocolViolation("a command set that does not end")
        self._part += self._wire.read(length)
        if not flags & LAST:
            return
        context = self._contexts.get(context_id)
        if context is None:
            raise ProtocolViolation(f"presentation context {context_id} was not accepted", 0)
        command, self._part = read_command(self._part), bytearray()
        self._begin(context, command)

    def _begin(self, context: Context, command: Command) -> None:
        field = get_number(command, dimse.FIELD)
        has_data = get_number(command, dimse.DATA_SET_TYPE) != dimse.NO_DATA_SET
        if field == dimse.C_CANCEL_RQ:
            self._canceled = get_number(command, dimse.RESPONDED_TO)
        elif self._is_answering:
            raise ProtocolViolation(f"command {field:#06x} while a request is answered", UNEXPECTED_PDU)
        else:
            self._canceled = -1
        if field == dimse.C_STORE_RQ:
            if not (context.is_storage and has_data):
                raise ProtocolViolation("a C-STORE-RQ outside its place", UNEXPECTED_PDU)
            self._begin_store(context, command)
        if has_data:
            self._context, self._command = context, command
        elif field == dimse.C_ECHO_RQ:
            self._answer_echo(context, command)
        elif field != dimse.C_CANCEL_RQ:
            self._door.services.answer(self, context, command, b"")

    def _begin_store(self, context: Context, command: Command) -> None:
        sop_class, uid = get_uid(command, dimse.AFFECTED_CLASS), get_uid(command, dimse.AFFECTED_INSTANCE)
        message_id = get_number(command, dimse.MESSAGE_ID)
        intake = self._door.receiver.begin(sop_class, uid, context.transfer_syntax, self.caller)
        self._store = _Store(context, intake, sop_class, uid, message_id)
        self._wire.holder = intake

    def _finish_store(self, store: _Store) -> None:
        status, comment = self._keep(store)
        if comment:
            self.refused, self._why = self.refused + 1, f"{status:#06x}: {comment}"
        else:
            self._kept += 1
        self._store = self._command = self._context = self._wire.holder = None
        self._pace.wait()
        fields: dict[int, int | str] = {
            dimse.AFFECTED_CLASS: store.sop_class,
            dimse.FIELD: dimse.C_STORE_RQ | dimse.RESPONSE,
            dimse.RESPONDED_TO: store.message_id,
            dimse.DATA_SET_TYPE: dimse.NO_DATA_SET,
            dimse.STATUS: status,
            dimse.AFFECTED_INSTANCE: store.uid,
        }
        if comment:
            fields[dimse.ERROR_COMMENT] = comment[:64]
        self.send(store.context, fields)

    def _keep(self, store: _Store) -> tuple[int, str]:
        """0x0000 only for bytes that are synced under their final name; any other status says why not."""
        try:
            if not self._id:
                self._id = str(uuid4())
                self._door.recorder.open_association(Opened(self._id, self._door.name, self.caller, time.time()))
            self._door.receiver.finish(store.intake, (store.sop_class, store.uid), self.caller, self._id)
        except RefusedInstance as refusal:
            self._door.recorder.count("refused, out of resources" if refusal.transient else "refused")
            return refusal.status, str(refusal)
        except Exception:
            # An error nobody foresaw must still be an answer: a silent door makes a PACS hang.
            log.exception("instance %s could not be kept", store.uid)
            return OutOfResources.status, "internal error, see the log of the node"
        return 0x0000, ""

    def _take_message(self, length: int, context_id: int, flags: int) -> None:
        """A fragment of a data set that is no instance."""
        context, command = self._context, self._command
        if command is None or context is None or context_id != context.id:
            raise ProtocolViolation("a data set without a command", UNEXPECTED_PDU)
        if len(self._part) + length > LONGEST_MESSAGE:
            raise ProtocolViolation("a data set too long for a message")
        self._door.memory.take(length)
        self._taken += length
        while length:
            piece = self._wire.read(min(length, 1 << 16))
            self._part += piece
            length -= len(piece)
        if flags & LAST:
            data_set, self._part = bytes(self._part), bytearray()
            self._command = self._context = None
            try:
                self._door.services.answer(self, context, command, data_set)
            finally:
                self._give_back()

    def _give_back(self) -> None:
        self._door.memory.give(self._taken)
        self._taken = 0

    def _answer_echo(self, context: Context, command: Command) -> None:
        self.send(
            context,
            {
                dimse.AFFECTED_CLASS: get_uid(command, dimse.AFFECTED_CLASS),
                dimse.FIELD: dimse.C_ECHO_RQ | dimse.RESPONSE,
                dimse.RESPONDED_TO: get_number(command, dimse.MESSAGE_ID),
                dimse.DATA_SET_TYPE: dimse.NO_DATA_SET,
                dimse.STATUS: 0x0000,
            },
        )
