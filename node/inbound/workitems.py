"""The worklist at the door: Unified Procedure Steps by DIMSE (PS3.4 annex CC).

Nothing is decided here: `node.worklist` says what a request comes to, and this how DIMSE puts it. What subscribers are
told goes out by `outbound.tell`.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from pydicom import Dataset
from sqlalchemy.exc import SQLAlchemyError

from node.dicom import command as dimse
from node.dicom.command import Command, get_number, get_tags, get_uid
from node.dicom.commitment import decode_message, encode_message
from node.dicom.identifier import pick, select_tags
from node.errors import CannotUnderstand, ProtocolViolation, WorkitemRefused
from node.inbound.association import Association
from node.inbound.negotiate import Context
from node.inbound.wire import UNEXPECTED_PDU
from node.model.workitem import (
    FILTERED,
    PULL_CLASS,
    PUSH_CLASS,
    QUERY_CLASS,
    WATCH_CLASS,
    Outcome,
)
from node.worklist import Worklist

log = logging.getLogger(__name__)

SUCCESS, PENDING, CANCELED = 0x0000, 0xFF00, 0xFE00
SOME_UNKNOWN = 0x0001
"""Requested optional attributes are not there (PS3.4 Table CC.2.7-2)."""

PROCESSING_FAILURE, NO_SUCH_CLASS, NO_SUCH_ACTION, UNRECOGNIZED_OPERATION = 0x0110, 0x0118, 0x0123, 0x0211
CANNOT_UNDERSTAND = 0xC000
UNKNOWN_RECEIVER = 0xC308
"""The Receiving AE is unknown (PS3.4 Table CC.2.3-3)."""

CHANGE_STATE, REQUEST_CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND = range(1, 6)
"""Action Type ID (PS3.4 Table CC.2-1)."""

OPERATIONS = {
    PUSH_CLASS: {dimse.N_CREATE_RQ, dimse.N_GET_RQ, dimse.N_ACTION_RQ},
    WATCH_CLASS: {dimse.N_GET_RQ, dimse.C_FIND_RQ, dimse.N_ACTION_RQ},
    PULL_CLASS: {dimse.N_GET_RQ, dimse.N_SET_RQ, dimse.C_FIND_RQ, dimse.N_ACTION_RQ},
    QUERY_CLASS: {dimse.N_GET_RQ, dimse.C_FIND_RQ},
}
ACTIONS = {
    PUSH_CLASS: {REQUEST_CANCEL},
    WATCH_CLASS: {REQUEST_CANCEL, SUBSCRIBE, UNSUBSCRIBE, SUSPEND},
    PULL_CLASS: {CHANGE_STATE},
}
"""What each class is for (PS3.4 Tables CC.2-2 to CC.2-6)."""

AT_ONCE = 100
"""Workitems read at once for a C-FIND."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: its data set read, the uid of its workitem, "" where it names none."""

    association: Association
    context: Context
    command: Command
    field: int
    dataset: Dataset
    uid: str


@dataclass(frozen=True, slots=True)
class Said:
    """The answer to a request. comment: at most 64 characters of it are sent."""

    status: int
    comment: str = ""
    uid: str = ""
    dataset: Dataset | None = None


class Workitems:
    """Answers the messages of the four classes; see `association.Services`. receivers: AE titles that can be told."""

    def __init__(self, worklist: Worklist, receivers: frozenset[str]) -> None:
        self._worklist = worklist
        self._receivers = receivers
        self._verbs: dict[int, Callable[[Asked], Said]] = {
            dimse.N_CREATE_RQ: self._create,
            dimse.N_GET_RQ: self._get,
            dimse.N_SET_RQ: self._set,
            dimse.N_ACTION_RQ: self._act,
            dimse.C_FIND_RQ: self._find,
        }

    def answer(self, association: Association, context: Context, command: Command, data_set: bytes) -> None:
        """Raises ProtocolViolation for what is no request."""
        field = get_number(command, dimse.FIELD)
        if field & dimse.RESPONSE:
            raise ProtocolViolation(f"command {field:#06x} answers nothing that was asked", UNEXPECTED_PDU)
        said = self._grant(association, context, command, field, data_set)
        if said.status not in {SUCCESS, CANCELED} and not 0xB000 <= said.status < 0xC000:
            log.warning("%s is refused, %#06x: %s", association.caller, said.status, said.comment)
        _respond(association, context, command, field, said)

    def _grant(self, association: Association, context: Context, command: Command, field: int, data_set: bytes) -> Said:
        try:
            if field not in OPERATIONS[context.abstract_syntax]:
                return Said(UNRECOGNIZED_OPERATION, "not an operation of this SOP class")
            named = dimse.AFFECTED_CLASS if field in {dimse.N_CREATE_RQ, dimse.C_FIND_RQ} else dimse.REQUESTED_CLASS
            wanted = context.abstract_syntax if field == dimse.C_FIND_RQ else PUSH_CLASS
            if get_uid(command, named) != wanted:
                return Said(NO_SUCH_CLASS, f"the SOP class must be {wanted}")
            dataset = decode_message(data_set, context.transfer_syntax) if data_set else Dataset()
            return self._verbs[field](Asked(association, context, command, field, dataset, _find_uid(command, field)))
        except WorkitemRefused as refusal:
            return Said(refusal.status, str(refusal))
        except CannotUnderstand as error:
            return Said(CANNOT_UNDERSTAND if field == dimse.C_FIND_RQ else PROCESSING_FAILURE, str(error))
        except SQLAlchemyError as error:
            return Said(PROCESSING_FAILURE, f"the worklist cannot be read or written ({type(error).__name__})")

    def _create(self, asked: Asked) -> Said:
        uid, outcome = self._worklist.create(asked.dataset, time.time(), asked.uid)
        return Said(outcome.status, outcome.warning, uid)

    def _get(self, asked: Asked) -> Said:
        tags = get_tags(asked.command, dimse.ATTRIBUTES)
        workitem = Dataset.from_json(self._worklist.get(asked.uid).model)
        found, lacks = select_tags(workitem, tags)
        comment = "attributes that were asked for are not there" if lacks else ""
        return Said(SOME_UNKNOWN if lacks else SUCCESS, comment, asked.uid, found)

    def _set(self, asked: Asked) -> Said:
        return _say(self._worklist.update(asked.uid, asked.dataset, time.time()), asked.uid)

    def _act(self, asked: Asked) -> Said:
        kind = get_number(asked.command, dimse.ACTION_TYPE)
        if kind not in ACTIONS[asked.context.abstract_syntax]:
            return Said(NO_SUCH_ACTION, f"action {kind} is none of this SOP class", asked.uid)
        actions: dict[int, Callable[[Asked], Outcome]] = {
            CHANGE_STATE: self._change_state,
            REQUEST_CANCEL: self._request_cancel,
            SUBSCRIBE: self._subscribe,
            UNSUBSCRIBE: partial(self._leave, self._worklist.unsubscribe),
            SUSPEND: partial(self._leave, self._worklist.suspend),
        }
        return _say(actions[kind](asked), asked.uid)

    def _change_state(self, asked: Asked) -> Outcome:
        state, lock = (str(asked.dataset.get(k) or "") for k in ("ProcedureStepState", "TransactionUID"))
        return self._worklist.change_state(asked.uid, state, lock, time.time())

    def _request_cancel(self, asked: Asked) -> Outcome:
        requester = str(asked.dataset.get("RequestingAE") or asked.association.caller)
        return self._worklist.request_cancel(asked.uid, asked.dataset, requester, time.time())

    def _subscribe(self, asked: Asked) -> Outcome:
        receiver = self._find_receiver(asked)
        lock = str(asked.dataset.get("DeletionLock") or "").upper() == "TRUE"
        keys = Dataset()
        if asked.uid == FILTERED:
            keys.update({e.tag: e for e in asked.dataset if e.keyword not in {"ReceivingAE", "DeletionLock"}})
        return self._worklist.subscribe(asked.uid, receiver, time.time(), lock=lock, keys=keys)

    def _leave(self, leave: Callable[[str, str], Outcome], asked: Asked) -> Outcome:
        return leave(asked.uid, self._find_receiver(asked))

    def _find_receiver(self, asked: Asked) -> str:
        """Raises WorkitemRefused for one that nobody could tell anything."""
        title = str(asked.dataset.get("ReceivingAE") or "").strip()
        if title not in self._receivers:
            raise WorkitemRefused(
                f"Receiving AE {title!r} is no peer with `workitems` and an address", UNKNOWN_RECEIVER, 400
            )
        return title

    def _find(self, asked: Asked) -> Said:
        """Sends each that matches; the answer is what comes last."""
        number = get_number(asked.command, dimse.MESSAGE_ID)
        for workitem in self._search(asked.dataset):
            if asked.association.is_canceled(number):
                return Said(CANCELED)
            found = pick(asked.dataset, workitem)
            _respond(asked.association, asked.context, asked.command, asked.field, Said(PENDING, dataset=found))
        return Said(SUCCESS)

    def _search(self, identifier: Dataset) -> Iterator[Dataset]:
        offset = 0
        while found := self._worklist.search(identifier, AT_ONCE, offset):
            yield from (Dataset.from_json(one.model) for one in found)
            offset += len(found)
            if len(found) < AT_ONCE:
                return


def _find_uid(command: Command, field: int) -> str:
    """Raises ProtocolViolation where one is needed and absent. A C-FIND names none, an N-CREATE may."""
    if field == dimse.C_FIND_RQ:
        return ""
    if field == dimse.N_CREATE_RQ:
        return get_uid(command, dimse.AFFECTED_INSTANCE) if dimse.AFFECTED_INSTANCE in command else ""
    return get_uid(command, dimse.REQUESTED_INSTANCE)


def _say(outcome: Outcome, uid: str) -> Said:
    """What the worklist granted; that nobody was subscribed is no error (PS3.4 CC.2.3.3)."""
    return Said(outcome.status, outcome.warning, uid)


def _respond(association: Association, context: Context, command: Command, field: int, said: Said) -> None:
    fields: dict[int, int | str] = {
        dimse.AFFECTED_CLASS: context.abstract_syntax if field == dimse.C_FIND_RQ else PUSH_CLASS,
        dimse.FIELD: field | dimse.RESPONSE,
        dimse.RESPONDED_TO: get_number(command, dimse.MESSAGE_ID),
        dimse.DATA_SET_TYPE: dimse.NO_DATA_SET if said.dataset is None else dimse.DATA_SET,
        dimse.STATUS: said.status,
    }
    if said.uid:
        fields[dimse.AFFECTED_INSTANCE] = said.uid
    if field == dimse.N_ACTION_RQ:
        fields[dimse.ACTION_TYPE] = get_number(command, dimse.ACTION_TYPE)
    if said.comment:
        fields[dimse.ERROR_COMMENT] = said.comment[:64]
    data_set = b"" if said.dataset is None else encode_message(said.dataset, context.transfer_syntax)
    association.send(context, fields, data_set)
