"""An Instance Availability Notification read and written (PS3.4 annex R, table R.3.2-1)."""

from collections.abc import Iterable
from dataclasses import dataclass

from pydicom import Dataset

from node.dicom.required import INVALID_VALUE, BadAttribute, get_items, get_required, get_uid

AVAILABILITIES = frozenset({"ONLINE", "NEARLINE", "OFFLINE", "UNAVAILABLE"})
"""Instance Availability (PS3.3 C.4.23.1.1)."""


@dataclass(frozen=True, slots=True)
class Notification:
    """instances: SOP Instance UIDs that are to be had; gone: those that are UNAVAILABLE."""

    study_uid: str
    instances: tuple[str, ...]
    gone: tuple[str, ...]


def read_notification(dataset: Dataset) -> Notification:
    """Raises BadAttribute naming the attribute at fault."""
    study_uid = get_uid(dataset, "StudyInstanceUID")
    instances: list[str] = []
    gone: list[str] = []
    for series in get_items(dataset, "ReferencedSeriesSequence"):
        get_uid(series, "SeriesInstanceUID")
        for item in get_items(series, "ReferencedSOPSequence"):
            get_uid(item, "ReferencedSOPClassUID")
            uid, where = get_uid(item, "ReferencedSOPInstanceUID"), str(get_required(item, "InstanceAvailability"))
            if where not in AVAILABILITIES:
                raise BadAttribute(INVALID_VALUE, "Instance Availability is none of the defined terms")
            (gone if where == "UNAVAILABLE" else instances).append(uid)
    return Notification(study_uid, tuple(dict.fromkeys(instances)), tuple(dict.fromkeys(gone)))


@dataclass(frozen=True, slots=True)
class Available:
    """An instance that is to be had. titles: AE titles from which."""

    series_uid: str
    sop_class_uid: str
    sop_instance_uid: str
    titles: tuple[str, ...]


def make_notification(study_uid: str, instances: Iterable[Available]) -> Dataset:
    """That `instances` of one study are ONLINE. No performed procedure step is named: ours has none."""
    notification = Dataset()
    notification.ReferencedPerformedProcedureStepSequence = []
    notification.StudyInstanceUID = study_uid
    series: dict[str, Dataset] = {}
    for one in instances:
        if one.series_uid not in series:
            series[one.series_uid] = Dataset()
            series[one.series_uid].SeriesInstanceUID = one.series_uid
            series[one.series_uid].ReferencedSOPSequence = []
        series[one.series_uid].ReferencedSOPSequence.append(_to_item(one))
    notification.ReferencedSeriesSequence = list(series.values())
    return notification


def _to_item(one: Available) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    item.InstanceAvailability, item.RetrieveAETitle = "ONLINE", list(one.titles)
    return item
