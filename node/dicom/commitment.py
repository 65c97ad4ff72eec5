"""Storage commitment, the server's side: a request read, a report written (PS3.4 annex J.3)."""

from collections.abc import Mapping, Sequence
from io import BytesIO

from pydicom import Dataset
from pydicom.uid import UID
from pynetdicom.dsutils import decode, encode

from node.dicom.header import DAMAGE
from node.errors import CannotUnderstand

NO_SUCH_INSTANCE, CLASS_INSTANCE_CONFLICT = 0x0112, 0x0119
"""Failure Reason (PS3.3 C.14.1.1)."""

SUCCESSFUL, FAILURES_EXIST = 1, 2
"""Event types (PS3.4 table J.3-2)."""


def decode_message(data: bytes, syntax: str) -> Dataset:
    """The data set of a DIMSE message in `syntax`. Raises CannotUnderstand."""
    uid = UID(syntax)
    try:
        dataset = decode(BytesIO(data), uid.is_implicit_VR, uid.is_little_endian)
        for element in dataset:
            _ = element.value  # pydicom reads late: what cannot be read must be found here
    except (*DAMAGE, OSError) as error:
        raise CannotUnderstand(f"a data set that cannot be read ({type(error).__name__})") from None
    return dataset


def encode_message(dataset: Dataset, syntax: str) -> bytes:
    """`dataset` in `syntax`."""
    uid = UID(syntax)
    data = encode(dataset, uid.is_implicit_VR, uid.is_little_endian)
    if data is None:
        raise ValueError("a data set of our own cannot be encoded")
    return data


def read_request(request: Dataset) -> tuple[str, tuple[tuple[str, str], ...]]:
    """(Transaction UID, (SOP class, SOP instance) of all that is to be committed). Raises CannotUnderstand."""
    transaction = str(request.get("TransactionUID", "") or "")
    items = request.get("ReferencedSOPSequence") or ()
    pairs = tuple(
        (str(item.get("ReferencedSOPClassUID", "")), str(item.get("ReferencedSOPInstanceUID", ""))) for item in items
    )
    if not (_is_uid(transaction) and pairs and all(_is_uid(a) and _is_uid(b) for a, b in pairs)):
        raise CannotUnderstand("a storage commitment request without its uids")
    return transaction, pairs


def make_report(
    transaction_uid: str, references: Sequence[tuple[str, str]], held: Mapping[str, str]
) -> tuple[int, Dataset]:
    """(event type, Event Information). held: SOP Instance UID -> SOP Class UID of what we keep."""
    report = Dataset()
    report.TransactionUID = transaction_uid
    kept, failed = [], []
    for sop_class, uid in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
        if held.get(uid) == sop_class:
            kept.append(item)
        else:
            item.FailureReason = CLASS_INSTANCE_CONFLICT if uid in held else NO_SUCH_INSTANCE
            failed.append(item)
    if kept:
        report.ReferencedSOPSequence = kept
    if failed:
        report.FailedSOPSequence = failed
    return (FAILURES_EXIST if failed else SUCCESSFUL), report


def _is_uid(value: str) -> bool:
    return 0 < len(value) <= 64 and not value.strip("0123456789.")
