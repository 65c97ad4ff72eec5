"""Where to look first: the images on which findings are largest, as a Key Object Selection (PS3.3 A.35.4, TID 2010)."""

from collections.abc import Iterable

import numpy as np
from pydicom import Dataset
from pydicom.uid import KeyObjectSelectionDocumentStorage

from node.dicom import content
from node.dicom.authorship import Authorship
from node.dicom.context import new_object, reference_series
from node.dicom.mask import get_mask
from node.dicom.observer import describe_observer
from node.dicom.plane_reference import find_headers, reference_planes
from node.dicom.stack import Stack
from node.dicom.wording import name_finding, name_plane, state_caution
from node.errors import EncodingError
from pipelines.terms import Code, Finding, Mask, Result

OF_INTEREST = Code("113000", "DCM", "Of Interest")
"""The title (PS3.16 CID 7010): it recommends nothing and says nothing of quality."""
DESCRIPTION = Code("113012", "DCM", "Key Object Description")
MOST_PLANES = 3
"""For one finding."""


def encode_key_objects(
    stack: Stack, result: Result, author: Authorship, *, series_number: int = 7005
) -> Dataset | None:
    """The images on which the findings of `result` are largest; None when none of them has a place to look at.

    Of a finding with a segment these are at most MOST_PLANES planes as choose_key_planes takes them; with axes the
    plane of the axes; with a box alone the middle one of its planes. Findings that are absent or have no place
    contribute none. Raises EncodingError when a place is not on the stack's grid.
    """
    chosen = [(finding, _find_planes(finding, stack, result)) for finding in result.findings if not finding.absent]
    chosen = [(finding, planes) for finding, planes in chosen if planes]
    if not chosen:
        return None
    planes = sorted({k for _, of_finding in chosen for k in of_finding})
    words = [f"{name_finding(finding, result)}: {_list_planes(stack, own)}." for finding, own in chosen]
    ds = new_object(
        stack.first, author, KeyObjectSelectionDocumentStorage, "KO", "key objects", series_number,
        f"AI, not reviewed: {author.manifest.title}",
    )  # fmt: skip
    ds.ReferencedPerformedProcedureStepSequence = []
    study = Dataset()
    study.StudyInstanceUID = stack.study_uid
    study.ReferencedSeriesSequence = reference_series(find_headers(stack, planes), "ReferencedSOPSequence")
    ds.CurrentRequestedProcedureEvidenceSequence = [study]
    text = " ".join([state_caution(author), "Where findings are largest:", *words])
    tree = [*describe_observer(author), content.text(DESCRIPTION, text), *_images(stack, planes)]
    ds.update(content.container(OF_INTEREST, tree, relationship=None, template="2010"))
    return ds


def choose_key_planes(mask: Mask, most: int = MOST_PLANES) -> list[int]:
    """The plane on which most pixels of `mask` (k, j, i) lie; then, again and again, the one with most pixels among
    those that are at least a quarter of the planes from the first to the last away from all taken, so that what is
    shown is not three times the same. Ascending; none of an empty mask."""
    areas = np.count_nonzero(mask, axis=(1, 2))
    met = np.flatnonzero(areas)
    if not met.size:
        return []
    apart = (met[-1] - met[0] + 1) / 4
    planes = np.arange(len(areas))
    taken: list[int] = []
    while areas.any() and len(taken) < most:
        taken.append(int(areas.argmax()))
        areas = np.where(np.abs(planes - taken[-1]) < max(apart, 1), 0, areas)
    return sorted(taken)


def _find_planes(finding: Finding, stack: Stack, result: Result) -> list[int]:
    segment = next((one for one in result.segments if one.key == finding.segment_key), None)
    planes: list[int] = []
    if segment is not None:
        planes = choose_key_planes(get_mask(segment, stack))
    elif finding.axes is not None:
        planes = [finding.axes.plane]
    elif finding.box is not None:
        planes = [round((finding.box.low[0] + finding.box.high[0]) / 2)]
    if not all(0 <= k < stack.shape[0] for k in planes):
        raise EncodingError(f"finding {finding.key!r} lies on no plane of its stack")
    return planes


def _list_planes(stack: Stack, planes: Iterable[int]) -> str:
    return ", ".join(name_plane(stack, k) for k in planes)


def _images(stack: Stack, planes: list[int]) -> list[Dataset]:
    """IMAGE items without a concept name, which TID 2010 gives them none."""
    items = []
    for reference in reference_planes(stack, planes):
        item = Dataset()
        item.RelationshipType, item.ValueType = content.CONTAINS, "IMAGE"
        item.ReferencedSOPSequence = [reference]
        items.append(item)
    return items
