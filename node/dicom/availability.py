"""An Instance Availability Notification read (PS3.4 annex R, table R.3.2-1)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydicom import Dataset

from node.dicom.header import find_value
from node.errors import CannotUnderstand

MISSING_ATTRIBUTE, MISSING_VALUE, INVALID_VALUE = 0x0120, 0x0121, 0x0106
"""Statuses of an N-CREATE that is refused (PS3.7 annex C.5)."""

AVAILABILITIES = frozenset({"ONLINE", "NEARLINE", "OFFLINE", "UNAVAILABLE"})
"""Instance Availability (PS3.3 C.4.23.1.1)."""

LONGEST_UID = 64


class BadNotification(CannotUnderstand):
    """A notification that is refused; `status` is that of the N-CREATE-RSP."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Notification:
    """instances: SOP Instance UIDs that are to be had; gone: those that are UNAVAILABLE."""

    study_uid: str
    instances: tuple[str, ...]
    gone: tuple[str, ...]


def read_notification(dataset: Dataset) -> Notification:
    """Raises BadNotification naming the attribute at fault."""
    study_uid = _get_uid(dataset, "StudyInstanceUID")
    instances: list[str] = []
    gone: list[str] = []
    for series in _get_items(dataset, "ReferencedSeriesSequence"):
        _get_uid(series, "SeriesInstanceUID")
        for item in _get_items(series, "ReferencedSOPSequence"):
            _get_uid(item, "ReferencedSOPClassUID")
            uid, where = _get_uid(item, "ReferencedSOPInstanceUID"), str(_get(item, "InstanceAvailability"))
            if where not in AVAILABILITIES:
                raise BadNotification(INVALID_VALUE, "Instance Availability is none of the defined terms")
            (gone if where == "UNAVAILABLE" else instances).append(uid)
    return Notification(study_uid, tuple(dict.fromkeys(instances)), tuple(dict.fromkeys(gone)))


def _get_items(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """One item or more (type 1)."""
    items = _get(dataset, keyword)
    if not all(isinstance(item, Dataset) for item in items):
        raise BadNotification(INVALID_VALUE, f"{keyword} is no sequence")
    yield from items


def _get_uid(dataset: Dataset, keyword: str) -> str:
    uid = str(_get(dataset, keyword))
    if len(uid) > LONGEST_UID or uid.strip("0123456789."):
        raise BadNotification(INVALID_VALUE, f"{keyword} is no UID")
    return uid


def _get(dataset: Dataset, keyword: str) -> Any:
    """A value of type 1: it must be there and not be empty (PS3.5 7.4.1)."""
    if keyword not in dataset:
        raise BadNotification(MISSING_ATTRIBUTE, f"{keyword} is absent")
    value = find_value(dataset, keyword)
    if value is None or value == "" or (hasattr(value, "__len__") and not len(value)):
        raise BadNotification(MISSING_VALUE, f"{keyword} is empty")
    return value
