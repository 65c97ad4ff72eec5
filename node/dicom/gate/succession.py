"""What an object says of the versions before it: it names those that there are, each as it is, and is none of them."""

from collections.abc import Iterator, Set

from pydicom import Dataset

from node.dicom.authorship import Predecessor
from node.dicom.gate.attributes import AttributeFault
from node.dicom.gate.references import Known, list_instances, names_earlier
from node.dicom.succession import DOCUMENT_SEQUENCE, IMAGES, SILENT, STRUCTURES

LISTED = "ReferencedSeriesSequence"


def check_succession(ds: Dataset, known: Known) -> None:
    """Raise AttributeFault unless all that `ds` calls its predecessor is one, it names one where it has one, lists it
    among the instances that it refers to, and differs from those whose series it shares."""
    if str(ds.SOPInstanceUID) in known.earlier:
        raise AttributeFault("SOPInstanceUID", "is that of an earlier version")
    named = {str(item.ReferencedSOPInstanceUID) for _, item in find_named(ds, known)}
    for keyword, item in find_named(ds, known):
        _check_reference(item, keyword, ds, known)
    for study in ds.get(DOCUMENT_SEQUENCE) or []:
        _check_study(study, known)
    alike = [one for one in known.earlier.values() if one.sop_class_uid == ds.SOPClassUID]
    if alike and not named and ds.Modality not in SILENT:
        raise AttributeFault("SOPInstanceUID", "replaces an earlier version and does not name it")
    _check_listed(ds, known, named)
    for one in known.earlier.values():
        if one.series_uid == ds.SeriesInstanceUID:
            _check_neighbor(ds, one)


def find_named(ds: Dataset, known: Known) -> Iterator[tuple[str, Dataset]]:
    """(keyword, item) of each reference of `ds` that is to a predecessor by its place, or by what it names."""
    for study in ds.get(DOCUMENT_SEQUENCE) or []:
        for series in study.ReferencedSeriesSequence:
            yield from ((DOCUMENT_SEQUENCE, item) for item in series.ReferencedSOPSequence)
    yield from ((STRUCTURES, item) for item in ds.get(STRUCTURES) or [])
    for item in ds.get(IMAGES) or []:
        if str(item.ReferencedSOPInstanceUID) in known.earlier:
            yield IMAGES, item


def _check_reference(item: Dataset, keyword: str, ds: Dataset, known: Known) -> None:
    one = known.earlier.get(str(item.ReferencedSOPInstanceUID))
    if one is None:
        raise AttributeFault(keyword, "names what is no earlier version")
    if item.get("ReferencedSOPClassUID") != one.sop_class_uid:
        raise AttributeFault(f"{keyword}.ReferencedSOPClassUID", "is not that of the earlier version")
    if one.modality != ds.Modality:
        raise AttributeFault(keyword, "names an object of another kind")


def _check_study(study: Dataset, known: Known) -> None:
    own = str(known.first.StudyInstanceUID)
    if str(study.StudyInstanceUID) != own:
        raise AttributeFault(f"{DOCUMENT_SEQUENCE}.StudyInstanceUID", "is not the source's study")
    for series in study.ReferencedSeriesSequence:
        for item in series.ReferencedSOPSequence:
            one = known.earlier[str(item.ReferencedSOPInstanceUID)]
            if (one.study_uid, one.series_uid) != (own, str(series.SeriesInstanceUID)):
                raise AttributeFault(f"{DOCUMENT_SEQUENCE}.SeriesInstanceUID", "is not that of the earlier version")


def _check_listed(ds: Dataset, known: Known, named: Set[str]) -> None:
    """Where there is a Common Instance Reference (PS3.3 C.12.2), it lists those of `named`, each once, of its class
    and under its series."""
    instances = list_instances(ds)
    listed = [(series, known.earlier[str(item.ReferencedSOPInstanceUID)], item)
              for series, item in instances if names_earlier(item, known)]  # fmt: skip
    if instances and sorted(one.sop_instance_uid for _, one, _ in listed) != sorted(named):
        raise AttributeFault(LISTED, "does not list the earlier versions that are named, each once")
    for series, one, item in listed:
        if item.get("ReferencedSOPClassUID") != one.sop_class_uid:
            raise AttributeFault(f"{LISTED}.ReferencedSOPClassUID", "is not that of the earlier version")
        if str(series.SeriesInstanceUID) != one.series_uid:
            raise AttributeFault(f"{LISTED}.SeriesInstanceUID", "is not the series of what it lists")


def _check_neighbor(ds: Dataset, one: Predecessor) -> None:
    """Two instances of one series (PS3.3 A.1.2): of one modality and frame of reference, under different numbers."""
    if ds.Modality != one.modality:
        raise AttributeFault("SeriesInstanceUID", "is that of an earlier object of another modality")
    if one.frame_of_reference_uid and ds.get("FrameOfReferenceUID", "") != one.frame_of_reference_uid:
        raise AttributeFault("SeriesInstanceUID", "is that of an earlier object in another frame of reference")
    if int(ds.get("InstanceNumber") or 0) <= one.version:
        raise AttributeFault("InstanceNumber", "is not above that of the earlier version")
