"""Events of another manager's workitems at the door (PS3.4 CC.2.4), to which we subscribed as its performer.

An event is a row of the worklist's file before it is answered; `outbound.performing` acts on it.
"""

import json
import logging
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from node.dicom import command as dimse
from node.dicom.command import Command, get_number, get_uid
from node.dicom.commitment import decode_message
from node.dicom.header import DAMAGE
from node.errors import CannotUnderstand, ProtocolViolation
from node.inbound.association import Association
from node.inbound.negotiate import Context
from node.inbound.wire import UNEXPECTED_PDU
from node.model.workitem import PUSH_CLASS, Report
from node.worklist import Worklist

log = logging.getLogger(__name__)

SUCCESS, PROCESSING_FAILURE, NO_SUCH_EVENT, NO_SUCH_CLASS = 0x0000, 0x0110, 0x0113, 0x0118


class Reports:
    """Answers N-EVENT-REPORT; see `association.Services`. managers: AE title -> name of each peer that tells us."""

    def __init__(self, worklist: Worklist, managers: Mapping[str, str]) -> None:
        self._worklist = worklist
        self._managers = managers

    def answer(self, association: Association, context: Context, command: Command, data_set: bytes) -> None:
        """Raises ProtocolViolation for what is no event report."""
        field = get_number(command, dimse.FIELD)
        if field != dimse.N_EVENT_REPORT_RQ:
            raise ProtocolViolation(f"command {field:#06x} is none of workitem events'", UNEXPECTED_PDU)
        uid, kind = get_uid(command, dimse.AFFECTED_INSTANCE), get_number(command, dimse.EVENT_TYPE)
        status = self._take(association, context, command, uid, kind, data_set)
        if status != SUCCESS:
            log.warning("an event of workitem %s by %s is refused, %#06x", uid, association.caller, status)
        fields: dict[int, int | str] = {
            dimse.AFFECTED_CLASS: PUSH_CLASS,
            dimse.FIELD: field | dimse.RESPONSE,
            dimse.RESPONDED_TO: get_number(command, dimse.MESSAGE_ID),
            dimse.DATA_SET_TYPE: dimse.NO_DATA_SET,
            dimse.STATUS: status,
            dimse.AFFECTED_INSTANCE: uid,
            dimse.EVENT_TYPE: kind,
        }
        association.send(context, fields)

    def _take(
        self, association: Association, context: Context, command: Command, uid: str, kind: int, data_set: bytes
    ) -> int:
        """The status of the answer, once the event is written."""
        peer = self._managers.get(association.caller)
        if peer is None or get_uid(command, dimse.AFFECTED_CLASS) != PUSH_CLASS:
            return NO_SUCH_CLASS
        if kind not in set(Report):
            return NO_SUCH_EVENT
        try:
            information = decode_message(data_set, context.transfer_syntax).to_json_dict() if data_set else {}
            self._worklist.hear(peer, uid, kind, json.dumps(information))
        except (CannotUnderstand, SQLAlchemyError, *DAMAGE):
            return PROCESSING_FAILURE
        return SUCCESS
