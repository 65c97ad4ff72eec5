"""How a result object names the ones of earlier versions that it replaces, in the attributes that its IOD has for it.

Reports: Predecessor Documents Sequence (PS3.3 C.17.2), each "Replaced report" (CID 7009); Encapsulated PDF: the same
sequence (C.24.2). Structure sets: Predecessor Structure Set Sequence (C.8.8.5), one item. Images, that is
segmentations, maps and captures: Referenced Image Sequence (C.12.4), without a purpose, since PS3.16 has no code for
"an earlier version of this"; segmentations and maps list them by series too (C.12.2), as all that they refer to.
Presentation States, Key Object Selections and registrations have none: their series and number tell.
"""

from collections.abc import Sequence

from pydicom import Dataset

from node.dicom.authorship import Authorship, Predecessor
from node.dicom.codes import REPLACED_REPORT, to_concept

DOCUMENTS = {"SR", "DOC"}
IMAGES = "ReferencedImageSequence"
STRUCTURES = "PredecessorStructureSetSequence"
DOCUMENT_SEQUENCE = "PredecessorDocumentsSequence"
SILENT = {"PR", "KO", "REG"}
"""Modalities whose IODs have no place for it."""


def state_version(author: Authorship) -> list[str]:
    """A sentence for the reader where the result replaces an earlier one."""
    if not author.predecessors:
        return []
    replaced = max(one.version for one in author.predecessors)
    return [f"Version {author.version} of this result, made after more images came; it replaces version {replaced}."]


def add_predecessors(ds: Dataset, predecessors: Sequence[Predecessor]) -> None:
    """`ds` names `predecessors`, where its IOD lets it. Nothing is added where there are none."""
    if not predecessors or ds.Modality in SILENT:
        return
    if ds.Modality in DOCUMENTS:
        ds.PredecessorDocumentsSequence = [_study(predecessors)]
    elif ds.Modality == "RTSTRUCT":
        ds.PredecessorStructureSetSequence = [_reference(predecessors[-1])]
    else:
        ds.ReferencedImageSequence = [_reference(one) for one in predecessors]


def reference_predecessors(predecessors: Sequence[Predecessor]) -> list[Dataset]:
    """Items of Referenced Series Sequence for what Referenced Image Sequence names of the study: the Common Instance
    Reference lists each instance that is referred to, by series (PS3.3 C.12.2)."""
    series: dict[str, list[Dataset]] = {}
    for one in predecessors:
        series.setdefault(one.series_uid, []).append(_reference(one))
    return [_series(uid, "ReferencedInstanceSequence", references) for uid, references in series.items()]


def _study(predecessors: Sequence[Predecessor]) -> Dataset:
    """Hierarchical SOP Instance Reference (PS3.3 table C.17-3): all are of one study."""
    item = Dataset()
    item.StudyInstanceUID = predecessors[0].study_uid
    series: dict[str, list[Dataset]] = {}
    for one in predecessors:
        reference = _reference(one)
        if one.modality == "SR":
            reference.PurposeOfReferenceCodeSequence = [to_concept(REPLACED_REPORT)]
        series.setdefault(one.series_uid, []).append(reference)
    item.ReferencedSeriesSequence = [
        _series(uid, "ReferencedSOPSequence", references) for uid, references in series.items()
    ]
    return item


def _series(uid: str, keyword: str, references: list[Dataset]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    setattr(item, keyword, references)
    return item


def _reference(one: Predecessor) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = one.sop_class_uid, one.sop_instance_uid
    return item
