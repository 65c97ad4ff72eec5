"""DIMSE command sets: elements of group 0000 in Implicit VR Little Endian (PS3.7 6.3.1, annex E), read and written."""

import struct
from collections.abc import Mapping

from node.errors import ProtocolViolation

C_STORE_RQ = 0x0001
C_FIND_RQ = 0x0020
C_ECHO_RQ = 0x0030
C_CANCEL_RQ = 0x0FFF
N_EVENT_REPORT_RQ = 0x0100
N_GET_RQ = 0x0110
N_SET_RQ = 0x0120
N_ACTION_RQ = 0x0130
N_SET_RQ = 0x0120
N_CREATE_RQ = 0x0140
RESPONSE = 0x8000
"""This bit of the Command Field makes a response of a request."""

AFFECTED_CLASS = 0x0002
REQUESTED_CLASS = 0x0003
FIELD = 0x0100
MESSAGE_ID = 0x0110
RESPONDED_TO = 0x0120
PRIORITY = 0x0700
DATA_SET_TYPE = 0x0800
STATUS = 0x0900
ERROR_COMMENT = 0x0902
ERROR_ID = 0x0903
AFFECTED_INSTANCE = 0x1000
REQUESTED_INSTANCE = 0x1001
EVENT_TYPE = 0x1002
ATTRIBUTES = 0x1005
ACTION_TYPE = 0x1008

NO_DATA_SET = 0x0101
DATA_SET = 0x0000

_ELEMENT = struct.Struct("<HHI")
_SHORT = struct.Struct("<H")
_TAG = struct.Struct("<HH")

Command = dict[int, bytes]
"""Element number -> value as sent."""


def read_command(data: bytes | bytearray) -> Command:
    """The elements of a command set. Raises ProtocolViolation when lengths or groups do not add up."""
    command: Command = {}
    offset, end = 0, len(data)
    while offset < end:
        if offset + 8 > end:
            raise ProtocolViolation("a command set ends within an element")
        group, element, length = _ELEMENT.unpack_from(data, offset)
        offset += 8
        if group != 0 or offset + length > end:
            raise ProtocolViolation("a command set holds an element that is none of it or is longer than it")
        command[element] = bytes(data[offset : offset + length])
        offset += length
    if end < 12 or command.get(0) != struct.pack("<I", end - 12):
        raise ProtocolViolation("Command Group Length is wrong")
    return command


def get_number(command: Command, element: int) -> int:
    """A value of VR US. Raises ProtocolViolation when it is absent or none."""
    value = command.get(element, b"")
    if len(value) != 2:
        raise ProtocolViolation(f"command element (0000,{element:04X}) is absent or no US")
    return int(_SHORT.unpack(value)[0])


def get_uid(command: Command, element: int) -> str:
    """A value of VR UI. Raises ProtocolViolation when it is absent or no UID (PS3.5 9.1)."""
    value = command.get(element, b"").rstrip(b"\0 ")
    if not 0 < len(value) <= 64 or value.strip(b"0123456789.") or value.startswith(b"."):
        raise ProtocolViolation(f"command element (0000,{element:04X}) is absent or no UID")
    return value.decode("ascii")


def get_tags(command: Command, element: int) -> list[int]:
    """The values of VR AT, none where it is absent. Raises ProtocolViolation for what is no AT."""
    value = command.get(element, b"")
    if len(value) % 4:
        raise ProtocolViolation(f"command element (0000,{element:04X}) is no AT")
    return [group << 16 | number for group, number in _TAG.iter_unpack(value)]


def write_command(fields: Mapping[int, int | str]) -> bytes:
    """The command set of `fields`: element number -> US, or text of VR UI or LO. Group length goes first."""
    body = b"".join(_write_element(element, fields[element]) for element in sorted(fields))
    return _ELEMENT.pack(0, 0, 4) + struct.pack("<I", len(body)) + body


def _write_element(element: int, value: int | str) -> bytes:
    if isinstance(value, int):
        data = _SHORT.pack(value)
    else:
        data = value.encode("ascii", "replace")
        if len(data) % 2:
            data += b" " if element == ERROR_COMMENT else b"\0"
    return _ELEMENT.pack(0, element, len(data)) + data
