"""Who answers a message that is no C-STORE: one service per abstract syntax."""

from collections.abc import Mapping

from node.dicom import command as dimse
from node.dicom.command import Command, get_number
from node.errors import ProtocolViolation
from node.inbound.association import Association, Services
from node.inbound.negotiate import Context
from node.inbound.wire import UNEXPECTED_PDU


class Reception:
    """services: abstract syntax -> who speaks it."""

    def __init__(self, services: Mapping[str, Services]) -> None:
        self._services = services

    def answer(self, association: Association, context: Context, command: Command, data_set: bytes) -> None:
        """See `association.Services`."""
        service = self._services.get(context.abstract_syntax)
        if service is None:
            field = get_number(command, dimse.FIELD)
            raise ProtocolViolation(f"command {field:#06x} outside its place", UNEXPECTED_PDU)
        service.answer(association, context, command, data_set)
