"""Attributes that an N-CREATE or N-SET must have: each fault has the status of the answer (PS3.7 annex C.5)."""

from collections.abc import Iterator
from typing import Any

from pydicom import Dataset

from node.dicom.header import find_value
from node.errors import CannotUnderstand

MISSING_ATTRIBUTE, MISSING_VALUE, INVALID_VALUE = 0x0120, 0x0121, 0x0106

LONGEST_UID = 64


class BadAttribute(CannotUnderstand):
    """A request that is refused; `status` is that of the answer, the text names the attribute, never a value."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def get_items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """One item or more (type 1)."""
    items = get_required(dataset, keyword)
    if not all(isinstance(item, Dataset) for item in items):
        raise BadAttribute(INVALID_VALUE, f"{keyword} is no sequence")
    yield from items


def get_uid(dataset: Dataset, keyword: str) -> str:
    """A UID of type 1."""
    uid = str(get_required(dataset, keyword))
    if len(uid) > LONGEST_UID or uid.strip("0123456789."):
        raise BadAttribute(INVALID_VALUE, f"{keyword} is no UID")
    return uid


def get_required(dataset: Dataset, keyword: str) -> Any:
    """A value of type 1: it must be there and not be empty (PS3.5 7.4.1)."""
    if keyword not in dataset:
        raise BadAttribute(MISSING_ATTRIBUTE, f"{keyword} is absent")
    value = find_value(dataset, keyword)
    if value is None or value == "" or (hasattr(value, "__len__") and not len(value)):
        raise BadAttribute(MISSING_VALUE, f"{keyword} is empty")
    return value
