"""A result as a Comprehensive 3D SR after TID 1500 Measurement Report; and a refusal, which is another document.

Where things that TID 1500 does not name are put: the outcome (CID 6047) and all sentences for people stand in its
Qualitative Evaluations container, whose rows are any CODE and any TEXT. A report always has a group per finding; a
refusal has none, says "No algorithms succeeded" and is PARTIAL: it cannot be read as "nothing found".
"""

from collections.abc import Sequence

from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from node.dicom import codes, content
from node.dicom.authorship import Authorship
from node.dicom.content import HAS_ACQUISITION_CONTEXT, HAS_CONCEPT_MODIFIER
from node.dicom.context import ORDER_NUMBERS, copy_requests, copy_valid, new_object, reference_series
from node.dicom.header import count_frames, find_value
from node.dicom.measurement_group import make_context, measurement_groups
from node.dicom.observer import describe_observer
from node.dicom.stack import Stack
from node.dicom.wording import state_caution, state_notes
from node.errors import EncodingError
from pipelines.terms import Code, Result

REQUESTED = (
    "RequestedProcedureID", "RequestedProcedureDescription", "ReasonForTheRequestedProcedure", "AccessionNumber",
    "IssuerOfAccessionNumberSequence", *ORDER_NUMBERS,
)  # fmt: skip
"""Of a request, as Referenced Request Sequence has it (PS3.3 table C.17-2)."""
LISTED = ("SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
"""What the image library asks of a header."""


def encode_report(
    stack: Stack,
    result: Result,
    author: Authorship,
    segmentation: Dataset | None,
    *,
    notes: Sequence[str] = (),
    links: Sequence[tuple[Code, Dataset]] = (),
    part: str = "report",
    series_number: int = 7002,
    viewer_hints: bool = True,
) -> Dataset:
    """The findings of `result` as a Comprehensive 3D SR (PS3.3 A.35.13, PS3.16 TID 1500).

    segmentation: what encode_segmentation made of the same result; None when there was nothing to segment. A finding
    whose segment is in it becomes a TID 1411 group, any other a TID 1501 group; tracking uids agree by construction.
    A lesion, that is a finding with a segment of that category or with a box, gets a TID 1410 group with a rectangle;
    a finding with axes another TID 1501 group with their lengths and lines; both under the finding's tracking uid.
    notes: further sentences for the reader, as they are. links: images that go with it, maps and pictures of these,
    each with what it shows. part: names the report among those of its author, where there is one for each form of the
    segmentation. viewer_hints: begin the Tracking Identifier of axes with the
    name of the tool that is to draw them, without which OHIF shows their lengths but no lines; and give every segment a
    rectangle, without which it shows nothing of the whole report.
    Raises EncodingError when a measurement is not a finite number or a place is not in the stack. The headers of
    `stack` stay as they are.
    """
    context = make_context(stack, result, author, segmentation, viewer_hints)
    groups = [group for finding in result.findings for group in measurement_groups(finding, context)]
    outcome = codes.WITH_FINDINGS if result.is_positive else codes.WITHOUT_FINDINGS
    tree = [
        *_root(author),
        _image_library(stack.headers, stack.frames),
        content.container(codes.IMAGING_MEASUREMENTS, groups),
        _evaluations(outcome, [state_caution(author), *state_notes(result), *notes]),
        *_links(links),
    ]
    own = [segmentation] if segmentation is not None else []
    evidence = [*stack.headers, *own, *(linked for _, linked in links)]
    return _document(tree, evidence, author, part, series_number, f"AI, not reviewed: {author.manifest.title}")


def encode_refusal(
    headers: Sequence[Dataset],
    author: Authorship,
    name: str,
    sentence: str,
    *,
    reason: Code | None = None,
    series_number: int = 7003,
) -> Dataset:
    """The statement that the algorithm did not run on the images `headers`: error `name`, and why in a `sentence`.

    reason: the same as a code, for machines. It lists the images, but holds no measurement group and no finding; its
    outcome is (111245, DCM), its Completion Flag PARTIAL with a description. Raises EncodingError without a header.
    """
    if not headers:
        raise EncodingError("a refusal must say which images it speaks of")
    said = (
        f"The AI did not run: it says nothing of these images, neither findings nor their absence. {name}: {sentence}"
    )
    tree = [*_root(author), _image_library(headers, ()), _evaluations(codes.DID_NOT_RUN, [said], reason)]
    ds = _document(tree, headers, author, "refusal", series_number, f"AI DID NOT RUN: {author.manifest.title}")
    ds.CompletionFlag, ds.CompletionFlagDescription = "PARTIAL", f"AI did not run: {name}"[:64]
    return ds


def _document(
    tree: Sequence[Dataset], evidence: Sequence[Dataset], author: Authorship, part: str, number: int, title: str
) -> Dataset:
    """`tree` with SR Document Series and SR Document General (PS3.3 C.17.1, C.17.2) around it."""
    source = evidence[0]
    ds = new_object(source, author, Comprehensive3DSRStorage, "SR", part, number, title)
    ds.CompletionFlag, ds.VerificationFlag, ds.PreliminaryFlag = "COMPLETE", "UNVERIFIED", "PRELIMINARY"
    ds.PerformedProcedureCodeSequence, ds.ReferencedPerformedProcedureStepSequence = [], []
    study = Dataset()
    study.StudyInstanceUID = source.StudyInstanceUID
    study.ReferencedSeriesSequence = reference_series(evidence, "ReferencedSOPSequence")
    ds.CurrentRequestedProcedureEvidenceSequence = [study]
    if requests := [_requested(item, ds) for item in copy_requests(source, author.order)]:
        ds.ReferencedRequestSequence = requests
    ds.update(content.container(codes.IMAGING_MEASUREMENT_REPORT, tree, relationship=None, template="1500"))
    return ds


def _requested(request: Dataset, ds: Dataset) -> Dataset:
    """An item of Referenced Request Sequence (PS3.3 table C.17-2) from one of Request Attributes Sequence."""
    item = copy_valid(request, REQUESTED)
    item.setdefault("AccessionNumber", ds.AccessionNumber)
    for keyword in ("RequestedProcedureID", "RequestedProcedureDescription", *ORDER_NUMBERS):
        item.setdefault(keyword, "")
    item.StudyInstanceUID = request.get("StudyInstanceUID") or ds.StudyInstanceUID
    item.ReferencedStudySequence = []
    item.RequestedProcedureCodeSequence = list(request.get("RequestedProcedureCodeSequence") or [])
    return item


def _root(author: Authorship) -> list[Dataset]:
    """What opens every report: the observer, and the procedure reported."""
    procedure = content.coded(codes.PROCEDURE_REPORTED, author.manifest.procedure, HAS_CONCEPT_MODIFIER)
    return [*describe_observer(author), procedure]


def _image_library(headers: Sequence[Dataset], frames: Sequence[tuple[int, int]]) -> Dataset:
    """TID 1600, a group for each series: what its images share, then each image.

    frames: (index into headers, frame number) of what was read; an image of which only a part was read lists it.
    """
    read: dict[int, list[int]] = {}
    for index, number in frames:
        read.setdefault(index, []).append(number)
    groups: dict[str, list[Dataset]] = {}
    for index, header in enumerate(headers):
        series_uid, sop_class, uid = (find_value(header, name) for name in LISTED)
        items = groups.setdefault(str(series_uid), [])
        if not items:
            items += _shared_descriptors(header)
        numbers = sorted(read.get(index, ()))
        part = numbers if len(numbers) < count_frames(header) else ()
        items.append(content.image(codes.LIBRARY_IMAGE, sop_class, uid, frames=part))
    return content.container(
        codes.IMAGE_LIBRARY, [content.container(codes.IMAGE_LIBRARY_GROUP, items) for items in groups.values()]
    )


def _shared_descriptors(header: Dataset) -> list[Dataset]:
    """What TID 1602 says of all images of a series, taken from the first of them."""
    items = []
    modality = codes.MODALITIES.get(str(header.get("Modality")))
    if modality is not None:
        items.append(content.coded(codes.MODALITY, modality, HAS_ACQUISITION_CONTEXT))
    if frame_of_reference := header.get("FrameOfReferenceUID"):
        items.append(content.uid_reference(codes.FRAME_OF_REFERENCE_UID, frame_of_reference, HAS_ACQUISITION_CONTEXT))
    return items


def _links(links: Sequence[tuple[Code, Dataset]]) -> list[Dataset]:
    """A section with the images that go with the report: TID 1500, which is extensible, has no place for them."""
    images = [content.image(shows, linked.SOPClassUID, linked.SOPInstanceUID) for shows, linked in links]
    return [content.container(codes.KEY_IMAGES, images)] if images else []


def _evaluations(outcome: Code, sentences: Sequence[str], reason: Code | None = None) -> Dataset:
    items = [content.coded(codes.OUTCOME, outcome)]
    if reason is not None:
        items.append(content.coded(codes.REASON, reason))
    items += [content.text(codes.COMMENT, sentence) for sentence in sentences]
    return content.container(codes.QUALITATIVE_EVALUATIONS, items)
