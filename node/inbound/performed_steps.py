"""Modality Performed Procedure Steps at the door: what a modality made, and whether it is done (PS3.4 annex F).

A step is rows in the ledger, uids and a count, before it is answered. It makes no job by itself: `expected` judges the
study by it as its images come.
"""

import logging
import time

from pydicom.uid import generate_uid
from sqlalchemy.exc import SQLAlchemyError

from node.dicom import command as dimse
from node.dicom.command import Command, get_number, get_uid
from node.dicom.commitment import decode_message
from node.dicom.performed_step import read_change, read_creation
from node.dicom.required import BadAttribute
from node.errors import CannotUnderstand, ProtocolViolation
from node.inbound.association import Association
from node.inbound.negotiate import Context
from node.inbound.normalized import (
    DUPLICATE_INSTANCE,
    NO_SUCH_CLASS,
    NO_SUCH_INSTANCE,
    PROCESSING_FAILURE,
    SUCCESS,
    UNRECOGNIZED_OPERATION,
    respond,
)
from node.inbound.wire import UNEXPECTED_PDU
from node.ledger import Ledger
from node.model.expectation import StepState

log = logging.getLogger(__name__)

MAY_NO_LONGER_BE_UPDATED = 0xA710
"""Error ID of a step that is over (PS3.4 table F.7.2-2)."""


class PerformedSteps:
    """Answers N-CREATE and N-SET of performed procedure steps; see `association.Services`."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def answer(self, association: Association, context: Context, command: Command, data_set: bytes) -> None:
        """Raises ProtocolViolation for what is no request."""
        field = get_number(command, dimse.FIELD)
        if field & dimse.RESPONSE:
            raise ProtocolViolation(f"command {field:#06x} answers nothing that was asked", UNEXPECTED_PDU)
        if field not in (dimse.N_CREATE_RQ, dimse.N_SET_RQ):
            text = "only N-CREATE and N-SET are served"
            respond(association, context, command, UNRECOGNIZED_OPERATION, comment=text)
            return
        is_new = field == dimse.N_CREATE_RQ
        named = dimse.AFFECTED_INSTANCE in command or not is_new
        key = dimse.AFFECTED_INSTANCE if is_new else dimse.REQUESTED_INSTANCE
        uid = get_uid(command, key) if named else str(generate_uid(prefix=None))
        status, comment, error_id = self._try(association.caller, context, command, data_set, uid, is_new=is_new)
        if status != SUCCESS:
            log.warning("performed procedure step from %s refused, %#06x: %s", association.caller, status, comment)
        shown = uid if named or status == SUCCESS else ""
        respond(association, context, command, status, uid=shown, comment=comment, error_id=error_id)

    def _try(
        self, caller: str, context: Context, command: Command, data_set: bytes, uid: str, *, is_new: bool
    ) -> tuple[int, str, int | None]:
        """(status, comment, Error ID) of the answer."""
        try:
            if get_uid(command, dimse.AFFECTED_CLASS if is_new else dimse.REQUESTED_CLASS) != context.abstract_syntax:
                raise BadAttribute(NO_SUCH_CLASS, "not the class of the presentation context")
            (self._create if is_new else self._set)(caller, data_set, context.transfer_syntax, uid)
        except BadAttribute as error:
            over = MAY_NO_LONGER_BE_UPDATED if error.status == PROCESSING_FAILURE else None
            return error.status, str(error), over
        except CannotUnderstand as error:
            return PROCESSING_FAILURE, str(error), None
        except SQLAlchemyError as error:
            return PROCESSING_FAILURE, f"the ledger cannot be written ({type(error).__name__})", None
        return SUCCESS, "", None

    def _create(self, caller: str, data_set: bytes, syntax: str, uid: str) -> None:
        study_uids, images = read_creation(decode_message(data_set, syntax))
        if not self._ledger.begin_step(uid, study_uids, images, time.time()):
            raise BadAttribute(DUPLICATE_INSTANCE, "this performed procedure step was created before")
        log.info("%s begins a procedure step of study %s", caller, " and ".join(study_uids))

    def _set(self, caller: str, data_set: bytes, syntax: str, uid: str) -> None:
        change = read_change(decode_message(data_set, syntax))
        before = self._ledger.set_step(uid, change.state, change.images, time.time())
        if before is None:
            raise BadAttribute(NO_SUCH_INSTANCE, "no such performed procedure step is known")
        if before != StepState.IN_PROGRESS:
            raise BadAttribute(PROCESSING_FAILURE, f"the step is {before}: it may no longer be updated")
        log.info("%s: procedure step %s is %s", caller, uid, change.state or "going on")
