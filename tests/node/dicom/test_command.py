"""Command sets: what we write is read back, what does not add up is refused."""

import struct

import pytest
from pynetdicom.dimse_messages import C_STORE_RSP
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.dsutils import encode

from node.dicom import command as dimse
from node.dicom.command import get_number, get_uid, read_command, write_command
from node.errors import ProtocolViolation

FIELDS = {
    dimse.AFFECTED_CLASS: "1.2.840.10008.5.1.4.1.1.2",
    dimse.FIELD: dimse.C_STORE_RQ | dimse.RESPONSE,
    dimse.RESPONDED_TO: 7,
    dimse.DATA_SET_TYPE: dimse.NO_DATA_SET,
    dimse.STATUS: 0xA700,
    dimse.ERROR_COMMENT: "odd",
    dimse.AFFECTED_INSTANCE: "1.2.3.4",
}


def test_what_is_written_is_what_pynetdicom_writes():
    answer = C_STORE()
    answer.AffectedSOPClassUID, answer.AffectedSOPInstanceUID = FIELDS[dimse.AFFECTED_CLASS], "1.2.3.4"
    answer.MessageIDBeingRespondedTo, answer.Status, answer.ErrorComment = 7, 0xA700, "odd"
    message = C_STORE_RSP()
    message.primitive_to_message(answer)
    assert write_command(FIELDS) == encode(message.command_set, True, True)


def test_what_is_written_is_read_back():
    command = read_command(write_command(FIELDS))
    assert get_number(command, dimse.STATUS) == 0xA700
    assert get_uid(command, dimse.AFFECTED_INSTANCE) == "1.2.3.4"


@pytest.mark.parametrize(
    "data",
    [
        b"\0" * 7,
        struct.pack("<HHII", 0, 0, 4, 99),
        struct.pack("<HHI", 0, 2, 1 << 31),
        struct.pack("<HHI", 8, 2, 0),
        write_command(FIELDS)[:-1],
        write_command(FIELDS) + b"\0" * 8,
    ],
)
def test_lengths_and_groups_that_do_not_add_up_are_refused(data):
    with pytest.raises(ProtocolViolation):
        read_command(data)


@pytest.mark.parametrize("uid", ["", "../../etc/passwd", "1.2.3/4", "1" * 66, "1.2\0.3", "1.2.é"])
def test_a_uid_that_is_none_is_refused(uid):
    value = uid.encode("latin-1")
    with pytest.raises(ProtocolViolation, match="1000"):
        get_uid({dimse.AFFECTED_INSTANCE: value}, dimse.AFFECTED_INSTANCE)


def test_a_number_of_another_length_is_refused():
    with pytest.raises(ProtocolViolation, match="0110"):
        get_number({dimse.MESSAGE_ID: b"\1"}, dimse.MESSAGE_ID)
