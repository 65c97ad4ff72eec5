"""Answers to N-CREATE and N-SET at the door (PS3.7 10.1.5, 10.1.3)."""

from node.dicom import command as dimse
from node.dicom.command import Command, get_number
from node.inbound.association import Association
from node.inbound.negotiate import Context

SUCCESS = 0x0000
PROCESSING_FAILURE, DUPLICATE_INSTANCE, NO_SUCH_INSTANCE, NO_SUCH_CLASS = 0x0110, 0x0111, 0x0112, 0x0118
UNRECOGNIZED_OPERATION = 0x0211
"""Statuses of the N-services (PS3.7 annex C)."""


def respond(
    association: Association,
    context: Context,
    command: Command,
    status: int,
    *,
    uid: str = "",
    comment: str = "",
    error_id: int | None = None,
) -> None:
    """Answers `command` on the class of its context. uid: Affected SOP Instance UID, "" to leave it out. comment: an
    Error Comment, which is cut to 64 characters. error_id: what the class has for a Processing Failure."""
    fields: dict[int, int | str] = {
        dimse.AFFECTED_CLASS: context.abstract_syntax,
        dimse.FIELD: get_number(command, dimse.FIELD) | dimse.RESPONSE,
        dimse.RESPONDED_TO: get_number(command, dimse.MESSAGE_ID),
        dimse.DATA_SET_TYPE: dimse.NO_DATA_SET,
        dimse.STATUS: status,
    }
    if uid:
        fields[dimse.AFFECTED_INSTANCE] = uid
    if comment:
        fields[dimse.ERROR_COMMENT] = comment[:64]
    if error_id is not None:
        fields[dimse.ERROR_ID] = error_id
    association.send(context, fields)
