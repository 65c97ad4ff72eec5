"""Instance Availability Notification at the door: a PACS names what it has of a study (PS3.4 annex R).

A notification is rows in the ledger before it is answered. It makes no job by itself: `expected` judges the study by it
as its images come.
"""

import logging
import time

from pydicom.uid import generate_uid
from sqlalchemy.exc import SQLAlchemyError

from node.dicom import command as dimse
from node.dicom.availability import BadNotification, read_notification
from node.dicom.command import Command, get_number, get_uid
from node.dicom.commitment import decode_message
from node.dicom.uids import INSTANCE_AVAILABILITY_NOTIFICATION
from node.errors import CannotUnderstand, ProtocolViolation
from node.inbound.association import Association
from node.inbound.negotiate import Context
from node.inbound.wire import UNEXPECTED_PDU
from node.ledger import Ledger

log = logging.getLogger(__name__)

SUCCESS = 0x0000
PROCESSING_FAILURE, DUPLICATE_INSTANCE, NO_SUCH_CLASS = 0x0110, 0x0111, 0x0118
UNRECOGNIZED_OPERATION = 0x0211
"""Statuses of the N-services (PS3.7 annex C)."""


class Availability:
    """Answers the messages of instance availability notification; see `association.Services`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def answer(self, association: Association, context: Context, command: Command, data_set: bytes) -> None:
        """Raises ProtocolViolation for what is no request."""
        field = get_number(command, dimse.FIELD)
        if field & dimse.RESPONSE:
            raise ProtocolViolation(f"command {field:#06x} answers nothing that was asked", UNEXPECTED_PDU)
        if field != dimse.N_CREATE_RQ:
            self._respond(association, context, command, UNRECOGNIZED_OPERATION, "", "only N-CREATE is served")
            return
        named = dimse.AFFECTED_INSTANCE in command
        uid = get_uid(command, dimse.AFFECTED_INSTANCE) if named else str(generate_uid(prefix=None))
        status, comment = self._create(association.caller, context, command, data_set, uid)
        if status != SUCCESS:
            log.warning("availability notification from %s refused, %#06x: %s", association.caller, status, comment)
        self._respond(association, context, command, status, uid if named or status == SUCCESS else "", comment)

    def _create(self, caller: str, context: Context, command: Command, data_set: bytes, uid: str) -> tuple[int, str]:
        """The notification `uid` as rows; (status, comment) of the answer."""
        try:
            if get_uid(command, dimse.AFFECTED_CLASS) != INSTANCE_AVAILABILITY_NOTIFICATION:
                raise BadNotification(NO_SUCH_CLASS, "not the class of the presentation context")
            told = read_notification(decode_message(data_set, context.transfer_syntax))
            if not self._ledger.announce(told.study_uid, uid, caller, told.instances, told.gone, time.time()):
                raise BadNotification(DUPLICATE_INSTANCE, "this notification was created before")
        except BadNotification as error:
            return error.status, str(error)
        except CannotUnderstand as error:
            return PROCESSING_FAILURE, str(error)
        except SQLAlchemyError as error:
            return PROCESSING_FAILURE, f"the ledger cannot be written ({type(error).__name__})"
        log.info("%s announces %d instances of study %s", caller, len(told.instances), told.study_uid)
        return SUCCESS, ""

    def _respond(
        self, association: Association, context: Context, command: Command, status: int, uid: str, comment: str
    ) -> None:
        fields: dict[int, int | str] = {
            dimse.AFFECTED_CLASS: INSTANCE_AVAILABILITY_NOTIFICATION,
            dimse.FIELD: get_number(command, dimse.FIELD) | dimse.RESPONSE,
            dimse.RESPONDED_TO: get_number(command, dimse.MESSAGE_ID),
            dimse.DATA_SET_TYPE: dimse.NO_DATA_SET,
            dimse.STATUS: status,
        }
        if uid:
            fields[dimse.AFFECTED_INSTANCE] = uid
        if comment:
            fields[dimse.ERROR_COMMENT] = comment[:64]
        association.send(context, fields)
