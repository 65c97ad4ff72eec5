"""File Meta Information written byte by byte: the header that the door puts before a dataset it must not touch."""

import struct

from node.dicom.write import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME


def _encode_uid(element: int, uid: str) -> bytes:
    value = uid.encode("ascii")
    value += b"\0" * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, b"UI", len(value)) + value


_TAIL = _encode_uid(0x12, IMPLEMENTATION_CLASS_UID) + (
    struct.pack("<HH2sH", 2, 0x13, b"SH", len(IMPLEMENTATION_VERSION_NAME) + len(IMPLEMENTATION_VERSION_NAME) % 2)
    + IMPLEMENTATION_VERSION_NAME.encode("ascii")
    + b" " * (len(IMPLEMENTATION_VERSION_NAME) % 2)
)
_VERSION = struct.pack("<HH2sHI2s", 2, 1, b"OB", 0, 2, b"\0\1")


def encode_file_meta(sop_class: str, sop_instance: str, syntax: str, sender: str = "") -> bytes:
    """Preamble, prefix and group 0002 in Explicit VR Little Endian (PS3.10 7.1), all that stands before a dataset.
    sender: Sending Application Entity Title."""
    body = _VERSION + _encode_uid(0x02, sop_class) + _encode_uid(0x03, sop_instance) + _encode_uid(0x10, syntax) + _TAIL
    if sender:
        title = sender.encode("ascii", "replace")[:16]
        title += b" " * (len(title) % 2)
        body += struct.pack("<HH2sH", 2, 0x17, b"AE", len(title)) + title
    return b"\0" * 128 + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(body)) + body
