"""Storage commitment at the door: requests for what we hold, and reports on our own requests (PS3.4 annex J).

A request is a row in the ledger before it is answered. Its report goes out on the same association; where the caller
does not wait for it, `outbound.report` sends it later on one of its own.
"""

import logging
import time
from collections.abc import Callable
from threading import Lock

from pydicom import Dataset

from node.dicom import command as dimse
from node.dicom.command import Command, get_number
from node.dicom.commitment import decode_message, encode_message, make_report, read_request
from node.dicom.uids import STORAGE_COMMITMENT_PUSH_MODEL, STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE
from node.errors import CannotUnderstand, ProtocolViolation
from node.inbound.association import Association
from node.inbound.negotiate import Context
from node.inbound.recorder import Recorder
from node.inbound.wire import UNEXPECTED_PDU
from node.ledger import Ledger
from node.model.commitment import Commitment

log = logging.getLogger(__name__)

CommitReport = Callable[[Dataset], bool]
"""Told the Event Information of an N-EVENT-REPORT; False when the transaction is not ours."""

LATER = 20.0
"""Seconds that a caller has to answer the report on its own association."""

PROCESSING_FAILURE = 0x0110
REQUEST_COMMITMENT = 1


class Commitments:
    """Answers the messages of the storage commitment push model; see `association.Services`."""

    def __init__(self, ledger: Ledger, recorder: Recorder, on_report: CommitReport, reachable: frozenset[str]) -> None:
        """reachable: AE titles of peers, whose address we know; others get their report at once or not at all."""
        self._ledger = ledger
        self._recorder = recorder
        self._on_report = on_report
        self._reachable = reachable
        self._lock = Lock()
        self._reported: dict[tuple[int, int], str] = {}

    def answer(self, association: Association, context: Context, command: Command, data_set: bytes) -> None:
        """Raises ProtocolViolation for what is no message of this service."""
        field = get_number(command, dimse.FIELD)
        if context.abstract_syntax != STORAGE_COMMITMENT_PUSH_MODEL:
            raise ProtocolViolation(f"command {field:#06x} outside its place", UNEXPECTED_PDU)
        if field == dimse.N_EVENT_REPORT_RQ:
            self._take_report(association, context, command, data_set)
        elif field == dimse.N_ACTION_RQ:
            self._take_request(association, context, command, data_set)
        elif field == dimse.N_EVENT_REPORT_RQ | dimse.RESPONSE:
            self._take_answer(association, command)
        else:
            raise ProtocolViolation(f"command {field:#06x} is none of storage commitment's", UNEXPECTED_PDU)

    def _take_report(self, association: Association, context: Context, command: Command, data_set: bytes) -> None:
        """What a PACS says of our results, on an association that it opened (PS3.4 J.3.3)."""
        status = 0x0000
        try:
            known = self._on_report(decode_message(data_set, context.transfer_syntax))
        except CannotUnderstand as error:
            status, known = PROCESSING_FAILURE, True
            log.warning("storage commitment report from %s: %s", association.caller, error)
        if not known:
            log.warning("storage commitment report from %s for no transaction of ours", association.caller)
        kind = get_number(command, dimse.EVENT_TYPE)
        association.send(context, _respond(command, dimse.N_EVENT_REPORT_RQ, status) | {dimse.EVENT_TYPE: kind})

    def _take_request(self, association: Association, context: Context, command: Command, data_set: bytes) -> None:
        """Somebody asks whether we keep what it sent (PS3.4 J.3.2)."""
        try:
            if get_number(command, dimse.ACTION_TYPE) != REQUEST_COMMITMENT:
                raise CannotUnderstand("an action of another type")
            transaction, references = read_request(decode_message(data_set, context.transfer_syntax))
        except CannotUnderstand as error:
            log.warning("storage commitment request from %s: %s", association.caller, error)
            association.send(context, _respond(command, dimse.N_ACTION_RQ, PROCESSING_FAILURE))
            return
        now = time.time()
        if association.caller in self._reachable:
            self._ledger.add_commitment(Commitment(transaction, association.caller, references, now, now + LATER, 0))
        association.send(
            context, _respond(command, dimse.N_ACTION_RQ, 0x0000) | {dimse.ACTION_TYPE: REQUEST_COMMITMENT}
        )
        self._recorder.flush()
        held = self._ledger.find_classes([uid for _, uid in references])
        kind, report = make_report(transaction, references, held)
        number = association.next_message_id()
        with self._lock:
            self._reported[id(association), number] = transaction
        fields: dict[int, int | str] = {
            dimse.AFFECTED_CLASS: STORAGE_COMMITMENT_PUSH_MODEL,
            dimse.FIELD: dimse.N_EVENT_REPORT_RQ,
            dimse.MESSAGE_ID: number,
            dimse.DATA_SET_TYPE: dimse.DATA_SET,
            dimse.AFFECTED_INSTANCE: STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
            dimse.EVENT_TYPE: kind,
        }
        association.send(context, fields, encode_message(report, context.transfer_syntax))

    def _take_answer(self, association: Association, command: Command) -> None:
        with self._lock:
            transaction = self._reported.pop((id(association), get_number(command, dimse.RESPONDED_TO)), "")
        if transaction and get_number(command, dimse.STATUS) == 0x0000:
            self._ledger.settle_commitment(transaction)

    def forget(self, association: Association) -> None:
        """The association has ended: what it did not answer is reported on another."""
        with self._lock:
            for key in [key for key in self._reported if key[0] == id(association)]:
                del self._reported[key]


def _respond(command: Command, field: int, status: int) -> dict[int, int | str]:
    return {
        dimse.AFFECTED_CLASS: STORAGE_COMMITMENT_PUSH_MODEL,
        dimse.FIELD: field | dimse.RESPONSE,
        dimse.RESPONDED_TO: get_number(command, dimse.MESSAGE_ID),
        dimse.DATA_SET_TYPE: dimse.NO_DATA_SET,
        dimse.STATUS: status,
        dimse.AFFECTED_INSTANCE: STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
    }
