"""A result as a Comprehensive 3D SR after TID 1500 Measurement Report; and a refusal, which is another document.

Where things that TID 1500 does not name are put: the outcome (CID 6047) and all sentences for people stand in its
Qualitative Evaluations container, whose rows are any CODE and any TEXT. A report always has a group per finding; a
refusal has none, says "No algorithms succeeded" and is PARTIAL: it cannot be read as "nothing found".
"""

import math
from collections.abc import Sequence
from typing import Any

from highdicom import sr
from highdicom.sr import RelationshipTypeValues as Relationship
from pydicom import Dataset
from pydicom.uid import Comprehensive3DSRStorage

from node.dicom import codes
from node.dicom.authorship import Authorship
from node.dicom.codes import to_concept
from node.dicom.context import copy_request, copy_valid, new_object, reference_series
from node.dicom.segmentation import tracking_identifier
from node.dicom.stack import Stack
from node.errors import EncodingError
from pipelines.terms import Code, Finding, Measurement, Result, Segment, Severity

Group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations | sr.MeasurementsAndQualitativeEvaluations


def encode_report(
    stack: Stack,
    result: Result,
    author: Authorship,
    segmentation: Dataset | None,
    *,
    notes: Sequence[str] = (),
    series_number: int = 7002,
) -> Dataset:
    """The findings of `result` as a Comprehensive 3D SR (PS3.3 A.35.13, PS3.16 TID 1500).

    segmentation: what encode_segmentation made of the same result; None when there was nothing to segment. A finding
    whose segment is in it becomes a TID 1411 group, any other a TID 1501 group; tracking uids agree by construction.
    notes: further sentences for the reader, as they are.
    Raises EncodingError when a measurement is not a finite number. The headers of `stack` stay as they are.
    """
    tree = _root(author)
    tree.append(_image_library(stack.headers, stack.frames))
    measurements = _container(codes.IMAGING_MEASUREMENTS)
    for finding in result.findings:
        measurements.ContentSequence.extend(_group(finding, stack, result, author, segmentation))
    tree.append(measurements)
    outcome = codes.WITH_FINDINGS if result.is_positive else codes.WITHOUT_FINDINGS
    tree.append(_evaluations(outcome, [_caution(author), *_note_sentences(result), *notes]))
    evidence = [*stack.headers, *([segmentation] if segmentation is not None else [])]
    return _document(tree, evidence, author, "report", series_number, f"AI, not reviewed: {author.manifest.title}")


def encode_refusal(
    headers: Sequence[Dataset], author: Authorship, name: str, sentence: str, *, series_number: int = 7003
) -> Dataset:
    """The statement that the algorithm did not run on the images `headers`: error `name`, and why in a `sentence`.

    It lists the images, but holds no measurement group and no finding; its outcome is (111245, DCM), its Completion
    Flag PARTIAL with a description. Raises EncodingError without a header.
    """
    if not headers:
        raise EncodingError("a refusal must say which images it speaks of")
    tree = _root(author)
    tree.append(_image_library(headers, ()))
    said = (
        f"The AI did not run: it says nothing of these images, neither findings nor their absence. {name}: {sentence}"
    )
    tree.append(_evaluations(codes.DID_NOT_RUN, [said]))
    ds = _document(tree, headers, author, "refusal", series_number, f"AI DID NOT RUN: {author.manifest.title}")
    ds.CompletionFlag, ds.CompletionFlagDescription = "PARTIAL", f"AI did not run: {name}"[:64]
    return ds


def _document(
    tree: sr.ContentSequence, evidence: Sequence[Dataset], author: Authorship, part: str, number: int, title: str
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
    if requests := [_requested(item, ds) for item in copy_request(source)]:
        ds.ReferencedRequestSequence = requests
    ds.update(_container(codes.IMAGING_MEASUREMENT_REPORT, template="1500", root=True))
    ds.ContentSequence = list(tree)
    return ds


def _requested(request: Dataset, ds: Dataset) -> Dataset:
    """An item of Referenced Request Sequence (PS3.3 table C.17-2) from one of Request Attributes Sequence."""
    item = copy_valid(request, ["RequestedProcedureID", "RequestedProcedureDescription", "AccessionNumber"])
    item.setdefault("AccessionNumber", ds.AccessionNumber)
    for keyword in ("RequestedProcedureID", "RequestedProcedureDescription"):
        item.setdefault(keyword, "")
    item.PlacerOrderNumberImagingServiceRequest = item.FillerOrderNumberImagingServiceRequest = ""
    item.StudyInstanceUID = request.get("StudyInstanceUID") or ds.StudyInstanceUID
    item.ReferencedStudySequence = []
    item.RequestedProcedureCodeSequence = list(request.get("RequestedProcedureCodeSequence") or [])
    return item


def _root(author: Authorship) -> sr.ContentSequence:
    """What opens every report: language, the algorithm as observer (TID 1004), the procedure reported."""
    manifest = author.manifest
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=author.device_uid,
        name=author.station,
        manufacturer_name=manifest.manufacturer,
        model_name=manifest.name,
    )
    observer = sr.ObserverContext(to_concept(codes.DEVICE), device)
    tree = sr.ContentSequence()
    tree.extend(sr.LanguageOfContentItemAndDescendants(to_concept(codes.ENGLISH)))
    tree.extend(sr.ObservationContext(observer_device_context=observer))
    tree.append(_code(codes.PROCEDURE_REPORTED, manifest.procedure, Relationship.HAS_CONCEPT_MOD))
    return tree


def _image_library(headers: Sequence[Dataset], frames: Sequence[tuple[int, int]]) -> sr.ContainerContentItem:
    """TID 1600, a group for each series: what its images share, then each image.

    frames: (index into headers, frame number) of what was read; an image of which only a part was read lists it.
    """
    library = _container(codes.IMAGE_LIBRARY)
    groups: dict[str, sr.ContainerContentItem] = {}
    for index, header in enumerate(headers):
        group = groups.get(str(header.SeriesInstanceUID))
        if group is None:
            group = groups[str(header.SeriesInstanceUID)] = _library_group(header)
            library.ContentSequence.append(group)
        read = sorted(number for place, number in frames if place == index)
        part = read if 0 < len(read) < int(header.get("NumberOfFrames") or 1) else None
        group.ContentSequence.append(
            sr.ImageContentItem(
                to_concept(codes.LIBRARY_IMAGE), header.SOPClassUID, header.SOPInstanceUID,
                referenced_frame_numbers=part, relationship_type=Relationship.CONTAINS,
            )
        )  # fmt: skip
    return library


def _library_group(header: Dataset) -> sr.ContainerContentItem:
    """An Image Library Group with what TID 1602 says of all its images, taken from the first of them."""
    group = _container(codes.IMAGE_LIBRARY_GROUP)
    modality = codes.MODALITIES.get(str(header.get("Modality")))
    if modality is not None:
        group.ContentSequence.append(_code(codes.MODALITY, modality, Relationship.HAS_ACQ_CONTEXT))
    if frame_of_reference := header.get("FrameOfReferenceUID"):
        name = to_concept(codes.FRAME_OF_REFERENCE_UID)
        group.ContentSequence.append(sr.UIDRefContentItem(name, frame_of_reference, Relationship.HAS_ACQ_CONTEXT))
    return group


def _group(finding: Finding, stack: Stack, result: Result, author: Authorship, segmentation: Dataset | None) -> Group:
    """The measurement group of `finding`: with a segment (TID 1411) or without (TID 1501)."""
    segment = next((s for s in result.segments if s.key == finding.segment_key), None)
    key = segment.key if segment is not None else finding.key
    evaluations = [sr.QualitativeEvaluation(to_concept(name), to_concept(value)) for name, value in finding.qualifiers]
    if finding.absent:
        evaluations.append(sr.QualitativeEvaluation(to_concept(codes.PRESENCE), to_concept(codes.ABSENT)))
    shared: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(author.uid("track", key), tracking_identifier(author, key)),
        "finding_type": to_concept(finding.concept),
        "finding_sites": _sites(finding),
        "algorithm_id": _algorithm(author),
        "measurements": [_measurement(measurement, finding) for measurement in finding.measurements],
        "qualitative_evaluations": evaluations,
    }
    reference = _segment_reference(segment, stack, author, segmentation)
    if segment is not None and reference is not None:
        return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=reference, finding_category=to_concept(segment.category), **shared
        )
    group = sr.MeasurementsAndQualitativeEvaluations(source_images=[_middle_image(stack)], **shared)
    if finding.absent:
        group[0].ContentSequence.append(_comment(f"Looked for in all {stack.shape[0]} planes and not found."))
    return group


def _sites(finding: Finding) -> list[sr.FindingSite]:
    """Where it is. Laterality has its place under a site alone (TID 1419): without one, what was found is the site."""
    site = finding.site or (finding.concept if finding.laterality else None)
    if site is None:
        return []
    return [sr.FindingSite(to_concept(site), to_concept(finding.laterality) if finding.laterality else None)]


def _measurement(measurement: Measurement, finding: Finding) -> sr.Measurement:
    """TID 300: a number with its concept and UCUM unit."""
    if not math.isfinite(measurement.value):
        raise EncodingError(f"{measurement.concept} of finding {finding.key!r} is not a finite number")
    return sr.Measurement(
        name=to_concept(measurement.concept),
        value=float(measurement.value),
        unit=to_concept(measurement.unit),
        derivation=to_concept(measurement.derivation) if measurement.derivation else None,
        method=to_concept(measurement.method) if measurement.method else None,
    )


def _algorithm(author: Authorship) -> sr.AlgorithmIdentification:
    """TID 4019, equal to Contributing Equipment and to the segments' algorithm (IHE AIR table 6.5.3.1-1)."""
    manifest = author.manifest
    return sr.AlgorithmIdentification(manifest.name, manifest.version, family=to_concept(codes.ARTIFICIAL_INTELLIGENCE))


def _segment_reference(
    segment: Segment | None, stack: Stack, author: Authorship, segmentation: Dataset | None
) -> sr.ReferencedSegment | None:
    """The segment of `segmentation` with this tracking uid; None when it was empty and so was not written."""
    if segment is None or segmentation is None:
        return None
    tracked = author.uid("track", segment.key)
    for item in segmentation.SegmentSequence:
        if item.TrackingUID == tracked:
            return sr.ReferencedSegment(
                segmentation.SOPClassUID,
                segmentation.SOPInstanceUID,
                int(item.SegmentNumber),
                source_series=sr.SourceSeriesForSegmentation(stack.series_uid),
            )
    return None


def _middle_image(stack: Stack) -> sr.SourceImageForMeasurementGroup:
    """One image to open at: the image library lists them all."""
    index, number = stack.frames[len(stack.frames) // 2]
    header = stack.headers[index]
    frames = [number] if int(header.get("NumberOfFrames") or 1) > 1 else None
    return sr.SourceImageForMeasurementGroup(header.SOPClassUID, header.SOPInstanceUID, frames)


def _evaluations(outcome: Code, sentences: Sequence[str]) -> sr.ContainerContentItem:
    container = _container(codes.QUALITATIVE_EVALUATIONS)
    container.ContentSequence.append(_code(codes.OUTCOME, outcome, Relationship.CONTAINS))
    container.ContentSequence.extend(_comment(sentence) for sentence in sentences)
    return container


def _caution(author: Authorship) -> str:
    manifest = author.manifest
    return (
        f"AI result of {manifest.name} {manifest.version}, not reviewed by a person. "
        f"Intended use: {manifest.intended_use.rstrip('. ')}. Not for: {manifest.not_for.rstrip('. ')}."
    )


def _note_sentences(result: Result) -> list[str]:
    lead = {Severity.WARNING: "Warning", Severity.INFO: "Note"}
    return [f"{lead[note.severity]}: {note.text}" for note in result.notes]


def _comment(text: str) -> sr.TextContentItem:
    return sr.TextContentItem(to_concept(codes.COMMENT), text, Relationship.CONTAINS)


def _code(name: Code, value: Code, relationship: Relationship) -> sr.CodeContentItem:
    return sr.CodeContentItem(to_concept(name), to_concept(value), relationship)


def _container(name: Code, template: str | None = None, root: bool = False) -> sr.ContainerContentItem:
    """An empty CONTAINER; continuity is SEPARATE: its items are not a flowing text (PS3.3 C.18.8)."""
    item = sr.ContainerContentItem(
        to_concept(name), is_content_continuous=False, template_id=template,
        relationship_type=None if root else Relationship.CONTAINS,
    )  # fmt: skip
    item.ContentSequence = sr.ContentSequence()
    return item
