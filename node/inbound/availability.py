"""Instance Availability Notification at the door: a PACS names what it has of a study (PS3.4 annex R).

A notification is rows in the ledger before it is answered. It makes no job by itself: `expected` judges the study by it
as its images come.
"""

import logging
import time

from pydicom.uid import generate_uid
from sqlalchemy.exc import SQLAlchemyError

from node.dicom import command as dimse
from node.dicom.availability import read_notification
from node.dicom.command import Command, get_number, get_uid
from node.dicom.commitment import decode_message
from node.dicom.required import BadAttribute
from node.dicom.uids import INSTANCE_AVAILABILITY_NOTIFICATION
from node.errors import CannotUnderstand, ProtocolViolation
from node.inbound.association import Association
from node.inbound.negotiate import Context
from node.inbound.normalized import (
    DUPLICATE_INSTANCE,
    NO_SUCH_CLASS,
    PROCESSING_FAILURE,
    SUCCESS,
    UNRECOGNIZED_OPERATION,
    respond,
)
from node.inbound.wire import UNEXPECTED_PDU
from node.ledger import Ledger

log = logging.getLogger(__name__)


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
            respond(association, context, command, UNRECOGNIZED_OPERATION, comment="only N-CREATE is served")
            return
        named = dimse.AFFECTED_INSTANCE in command
        uid = get_uid(command, dimse.AFFECTED_INSTANCE) if named else str(generate_uid(prefix=None))
        status, comment = self._create(association.caller, context, command, data_set, uid)
        if status != SUCCESS:
            log.warning("availability notification from %s refused, %#06x: %s", association.caller, status, comment)
        shown = uid if named or status == SUCCESS else ""
        respond(association, context, command, status, uid=shown, comment=comment)

    def _create(self, caller: str, context: Context, command: Command, data_set: bytes, uid: str) -> tuple[int, str]:
        """The notification `uid` as rows; (status, comment) of the answer."""
        try:
            if get_uid(command, dimse.AFFECTED_CLASS) != INSTANCE_AVAILABILITY_NOTIFICATION:
                raise BadAttribute(NO_SUCH_CLASS, "not the class of the presentation context")
            told = read_notification(decode_message(data_set, context.transfer_syntax))
            if not self._ledger.announce(told.study_uid, uid, caller, told.instances, told.gone, time.time()):
                raise BadAttribute(DUPLICATE_INSTANCE, "this notification was created before")
        except BadAttribute as error:
            return error.status, str(error)
        except CannotUnderstand as error:
            return PROCESSING_FAILURE, str(error)
        except SQLAlchemyError as error:
            return PROCESSING_FAILURE, f"the ledger cannot be written ({type(error).__name__})"
        log.info("%s announces %d instances of study %s", caller, len(told.instances), told.study_uid)
        return SUCCESS, ""
