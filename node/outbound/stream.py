"""A file as C-STORE over an association that pynetdicom negotiated: its bytes go from the page cache to the socket.

pynetdicom hands each fragment through a queue to a thread of its own, which copies it twice: for an object of some
hundred megabytes that takes longer than the receiver does. Requests are few and answers small, so these stay with it.
"""

import socket
import ssl
import struct
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import Dataset
from pynetdicom.association import Association
from pynetdicom.dsutils import split_dataset

from node.dicom.command import (
    AFFECTED_CLASS,
    AFFECTED_INSTANCE,
    C_STORE_RQ,
    DATA_SET,
    DATA_SET_TYPE,
    FIELD,
    MESSAGE_ID,
    PRIORITY,
    write_command,
)

P_DATA_TF = struct.Struct(">BxIIBB")
"""Head of a P-DATA-TF PDU with one item (PS3.8 9.3.5): type, length, item length, context, control header."""

COMMAND, LAST = 1, 2
"""Bits of the message control header (PS3.8 E.2)."""

LONGEST = 1 << 20
"""Bytes in one PDU for a peer that sets no limit."""

MEDIUM = 0


def stream_file(association: Association, path: Path) -> Dataset:
    """Sends a Part 10 file whose SOP class and transfer syntax the peer accepted, and returns what it answered: Status,
    and Error Comment where there is one; empty when it did not answer, and the association is then aborted.

    Raises ValueError when no presentation context fits, OSError when the connection is gone.
    """
    meta, start = split_dataset(path)
    context = association._get_valid_context(
        meta.MediaStorageSOPClassUID, meta.TransferSyntaxUID, "scu", allow_conversion=False
    )
    assert context.context_id is not None, "a context that was negotiated has a number"
    request = write_command(
        {
            AFFECTED_CLASS: str(meta.MediaStorageSOPClassUID), FIELD: C_STORE_RQ, MESSAGE_ID: 1, PRIORITY: MEDIUM,
            DATA_SET_TYPE: DATA_SET, AFFECTED_INSTANCE: str(meta.MediaStorageSOPInstanceUID),
        }
    )  # fmt: skip
    connection = _find_socket(association)
    connection.sendall(_head(len(request), context.context_id, COMMAND | LAST) + request)
    with path.open("rb") as file:
        _send_fragments(connection, file, start, association.dimse.maximum_pdu_size or LONGEST, context.context_id)
    _, answer = association.dimse.get_msg(block=True)
    if answer is None:
        association.abort()
        return Dataset()
    return association._check_received_status(answer)


def _find_socket(association: Association) -> socket.socket:
    link: Any = association.dul.socket
    if link is None or link.socket is None:
        raise ConnectionError("the association is gone")
    found: socket.socket = link.socket
    return found


def _send_fragments(connection: socket.socket, file: BinaryIO, start: int, most: int, context: int) -> None:
    """The data set, from `start` to the end of the file, in PDUs of at most `most` bytes."""
    longest = min(most, LONGEST) - (P_DATA_TF.size - 6)
    end = file.seek(0, 2)
    for place in range(start, end, longest):
        size = min(longest, end - place)
        head = _head(size, context, LAST if place + size == end else 0)
        _send_fragment(connection, head, file, place, size)


def _send_fragment(connection: socket.socket, head: bytes, file: BinaryIO, place: int, size: int) -> None:
    """One PDU; where its bytes are enciphered they have to come here first."""
    if isinstance(connection, ssl.SSLSocket):
        file.seek(place)
        piece = file.read(size)
        connection.sendall(head + piece)
        sent = len(piece)
    else:
        connection.sendall(head, socket.MSG_MORE)
        sent = connection.sendfile(file, place, size)
    if sent != size:
        raise OSError(f"{file.name} became shorter while it was sent")


def _head(size: int, context: int, control: int) -> bytes:
    return P_DATA_TF.pack(4, size + 6, size + 2, context, control)
