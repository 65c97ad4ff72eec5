"""Whatever a result object refers to exists: a source instance with its frames, or another object of the same result
with its segments, of the class, series and study that the reference says."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field

from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import UID

from node.dicom.authorship import Predecessor
from node.dicom.gate.attributes import CONTOURS, FRAMES, TAKEN_OVER, AttributeFault
from node.dicom.gate.values import list_values
from node.dicom.header import count_frames, find_value

INSTANCE = Tag("ReferencedSOPInstanceUID").real
SKIPPED = {Tag(keyword).real for keyword in TAKEN_OVER} | {
    FRAMES,
    CONTOURS,
    Tag("ContentSequence").real,
}
"""What is the source's own word; functional groups, contours and content trees, which have gates of their own."""

STUDY = {Tag(keyword).real for keyword in ("ReferencedStudySequence", "RTReferencedStudySequence")}
NOT_OURS = {Tag(keyword).real for keyword in ("ReferencedPerformedProcedureStepSequence", "ReferencedPatientSequence")}
PREDECESSORS = {Tag(keyword).real for keyword in ("PredecessorDocumentsSequence", "PredecessorStructureSetSequence")}
"""node.dicom.gate.succession looks at what these name."""
SERIES, STUDY_UID = Tag("SeriesInstanceUID").real, Tag("StudyInstanceUID").real


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What there is to refer to, by SOP Instance UID: the source instances, and the objects of this result.

    uids: all that the sources have of their own. segments: uid of a segmentation and Segment Number -> its item.
    earlier: what this result replaces; it may be named as that and as nothing else. others: the images of earlier
    studies, which a registration may name.
    """

    sources: Mapping[str, Dataset]
    objects: Mapping[str, Dataset]
    uids: Set[str]
    segments: Mapping[tuple[str, object], Dataset]
    earlier: Mapping[str, Predecessor] = field(default_factory=dict)
    others: Mapping[str, Dataset] = field(default_factory=dict)

    def find(self, uid: str) -> Dataset | None:
        return next((kept[uid] for kept in (self.sources, self.objects, self.others) if uid in kept), None)

    def find_segment(self, uid: str, number: object) -> Dataset | None:
        """The item of that Segment Number in the segmentation `uid`."""
        return self.segments.get((uid, number))

    @property
    def first(self) -> Dataset:
        """The source instance that speaks for its series."""
        return next(iter(self.sources.values()))


def check_references(ds: Dataset, known: Known) -> None:
    """Raise AttributeFault unless all references at any depth of `ds` are to what there is. Requests and procedure
    steps aside: their instances are the hospital's, of which we know the names alone."""
    study = str(known.first.StudyInstanceUID)
    named = [*(ds.get("ReferencedImageSequence") or []), *(item for _, item in list_instances(ds))]
    replaced = [item for item in named if names_earlier(item, known)]
    for place, item in find_references(ds, ds, 0):
        if any(item is one for one in replaced):
            continue
        if place in STUDY:
            if str(item.ReferencedSOPInstanceUID) != study:
                raise AttributeFault("ReferencedSOPInstanceUID", "of a study is not the source's study")
            continue
        check_reference(item, known, str(ds.SOPInstanceUID))


def names_earlier(item: Dataset, known: Known) -> bool:
    """Whether `item` refers to a version before this one."""
    return str(item.ReferencedSOPInstanceUID) in known.earlier


def list_instances(ds: Dataset, inner: str = "ReferencedInstanceSequence") -> list[tuple[Dataset, Dataset]]:
    """(series, item) of each instance that is listed by series: in the Common Instance Reference (PS3.3 C.12.2), or in
    a presentation state."""
    return [(series, item) for series in ds.get("ReferencedSeriesSequence") or [] for item in series.get(inner) or []]


def check_reference(item: Dataset, known: Known, own: str = "") -> Dataset:
    """What `item` refers to; raises AttributeFault when there is no such instance, frame or segment."""
    uid = str(item.ReferencedSOPInstanceUID)
    target = known.find(uid)
    if target is None or uid == own:
        raise AttributeFault("ReferencedSOPInstanceUID", "names an instance that does not exist")
    if item.get("ReferencedSOPClassUID") != find_value(target, "SOPClassUID"):
        raise AttributeFault("ReferencedSOPClassUID", "is not that of the instance referred to")
    for number in list_values(item.get("ReferencedFrameNumber")):
        if not 1 <= int(number) <= count_frames(target):
            raise AttributeFault("ReferencedFrameNumber", "is no frame of the instance referred to")
    numbers = list_values(item.get("ReferencedSegmentNumber"))
    if any(known.find_segment(uid, number) is None for number in numbers):
        raise AttributeFault("ReferencedSegmentNumber", "is no segment of the segmentation")
    return target


def find_references(
    item: Dataset, root: Dataset, place: int, skipped: Set[int] = frozenset(SKIPPED)
) -> Iterator[tuple[int, Dataset]]:
    """(tag of the sequence it stands in, item) of each item below `root` that names an instance, requests aside."""
    for found in item.values():
        tag = int(found.tag)
        if tag == INSTANCE and item is not root:
            yield place, item
        if found.VR != "SQ" or tag in skipped or tag in NOT_OURS or tag in PREDECESSORS:
            continue
        element = item[found.tag] if isinstance(found, RawDataElement) else found
        for child in element.value:
            yield from find_references(child, root, tag, skipped)


def check_series(ds: Dataset, known: Known) -> None:
    """Raise AttributeFault unless every item that lists instances by series lists them under their own, once.
    Of earlier versions node.dicom.gate.succession asks the same."""
    keyword = "ReferencedSeriesSequence"
    listed, shown = (list_instances(ds, inner) for inner in ("ReferencedInstanceSequence", "ReferencedImageSequence"))
    _check_listed(shown, known, keyword)
    _check_listed([pair for pair in listed if not names_earlier(pair[1], known)], known, keyword)


def read_evidence(ds: Dataset, known: Known) -> set[str]:
    """The instances in Current Requested Procedure Evidence Sequence (PS3.3 C.17.2); raises AttributeFault unless
    each is listed once, under its own series and study."""
    listed = []
    for study in ds.get("CurrentRequestedProcedureEvidenceSequence") or []:
        if str(study.StudyInstanceUID) != str(known.first.StudyInstanceUID):
            raise AttributeFault("StudyInstanceUID", "of the evidence is not the source's study")
        for series in study.ReferencedSeriesSequence:
            listed += [(series, item) for item in series.ReferencedSOPSequence]
    _check_listed(listed, known, "CurrentRequestedProcedureEvidenceSequence")
    return {str(item.ReferencedSOPInstanceUID) for _, item in listed}


def _check_listed(listed: list[tuple[Dataset, Dataset]], known: Known, keyword: str) -> None:
    uids = [str(item.ReferencedSOPInstanceUID) for _, item in listed]
    if len(set(uids)) != len(uids):
        raise AttributeFault(keyword, "names an instance twice")
    for series, item in listed:
        target = known.find(str(item.ReferencedSOPInstanceUID))
        if target is None:
            raise AttributeFault(keyword, "names an instance that does not exist")
        if str(series.SeriesInstanceUID) != str(find_value(target, "SeriesInstanceUID")):
            raise AttributeFault(f"{keyword}.SeriesInstanceUID", "is not the series of what it lists")


def check_frame_of_reference(uid: object, known: Known, keyword: str) -> None:
    """Raise AttributeFault unless `uid` is the source's frame of reference."""
    if not uid or str(uid) != str(UID(str(known.first.get("FrameOfReferenceUID", "")))):
        raise AttributeFault(keyword, "is not the source's")
