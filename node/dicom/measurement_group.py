"""The measurement groups that one finding becomes (PS3.16 TID 1411, TID 1410, TID 1501)."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydicom import Dataset

from node.dicom import codes, content
from node.dicom.authorship import Authorship
from node.dicom.content import CONTAINS, HAS_CONCEPT_MODIFIER, HAS_OBSERVATION_CONTEXT
from node.dicom.extent import Extent, find_extents
from node.dicom.lesion import (
    BIDIRECTIONAL_TOOL,
    Rectangle,
    axis_items,
    box_rectangle,
    largest_rectangle,
    middle_rectangle,
    plane_image,
    region_item,
)
from node.dicom.segmentation import check_masks, track
from node.dicom.stack import Stack
from node.errors import EncodingError
from pipelines.terms import Finding, Measurement, Result, Segment


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """What the groups of a report have in common.

    segments: of the result, by key; extents: of those that are not empty. segmentation: the object that holds these, if
    there is one.
    numbers: Segment Number in it by tracking uid. viewer_hints: name axes so that viewers of the cornerstone family
    draw them, and give every segment a rectangle.
    """

    stack: Stack
    author: Authorship
    segments: Mapping[str, Segment]
    extents: Mapping[str, Extent]
    segmentation: Dataset | None
    numbers: Mapping[str, int]
    viewer_hints: bool


def make_context(
    stack: Stack, result: Result, author: Authorship, segmentation: Dataset | None, viewer_hints: bool
) -> Context:
    """The context of the groups of `result`. Raises EncodingError when a mask is not on the grid of `stack`."""
    check_masks(stack, result)
    extents = {extent.segment.key: extent for extent in find_extents(result)}
    items = segmentation.SegmentSequence if segmentation is not None else []
    numbers = {str(item.TrackingUID): int(item.SegmentNumber) for item in items if "TrackingUID" in item}
    segments = {segment.key: segment for segment in result.segments}
    return Context(stack, author, segments, extents, segmentation, numbers, viewer_hints)


def measurement_groups(finding: Finding, context: Context) -> list[Dataset]:
    """The groups of `finding`: its numbers first; then its rectangle, of a lesion or for viewers that want one; then
    its axes where it has them.

    Raises EncodingError when a number is not finite or a place lies outside the stack.
    """
    segment = context.segments.get(finding.segment_key or "")
    groups = [_numbers(finding, segment, context)]
    if finding.absent:
        return groups
    rectangle = _rectangle(finding, segment, context)
    if rectangle is not None:
        opening = _opening(finding, segment, context)
        groups.append(_group("1410", [*opening, region_item(rectangle, context.stack)]))
    if finding.axes is not None:
        opening = _opening(finding, segment, context, tool=BIDIRECTIONAL_TOOL if context.viewer_hints else None)
        groups.append(_group("1501", [*opening, *axis_items(finding.axes, context.stack)]))
    return groups


def _numbers(finding: Finding, segment: Segment | None, context: Context) -> Dataset:
    """The group with the measurements and evaluations of `finding`: of its segment (TID 1411), else of an image."""
    items = _opening(finding, segment, context)
    items += [_measurement(measurement, finding) for measurement in finding.measurements]
    items += [content.coded(name, value) for name, value in finding.qualifiers]
    if finding.absent:
        items.append(content.coded(codes.PRESENCE, codes.ABSENT))
    reference = _segment_reference(segment, context)
    if reference:
        return _group("1411", [*items, *reference])
    middle = len(context.stack.frames) // 2  # one image to open at: the image library lists them all
    items.append(plane_image(codes.SOURCE_OF_MEASUREMENT, CONTAINS, middle, context.stack))
    if finding.absent:
        sentence = f"Looked for in all {context.stack.shape[0]} planes and not found."
        items.append(content.text(codes.COMMENT, sentence))
    return _group("1501", items)


def _group(template: str, items: list[Dataset]) -> Dataset:
    return content.container(codes.MEASUREMENT_GROUP, items, template=template)


def _opening(finding: Finding, segment: Segment | None, context: Context, tool: str | None = None) -> list[Dataset]:
    """What every group of `finding` begins with: how it is tracked, what it is and where, which algorithm says so.

    Name and version of the algorithm equal those in Contributing Equipment and in the segments (IHE AIR table
    6.5.3.1-1). tool: put before the Tracking Identifier, so that both are said.
    """
    author, manifest = context.author, context.author.manifest
    owner = segment or finding
    tracking = track(author, owner.key, owner.tracking)
    items = [
        content.text(
            codes.TRACKING_IDENTIFIER,
            f"{tool}:{tracking.identifier}" if tool else tracking.identifier,
            HAS_OBSERVATION_CONTEXT,
        ),
        content.uid_reference(codes.TRACKING_UID, tracking.uid, HAS_OBSERVATION_CONTEXT),
    ]
    if segment is not None and tracking.uid in context.numbers:
        items.append(content.coded(codes.FINDING_CATEGORY, segment.category))
    items.append(content.coded(codes.FINDING, finding.concept))
    items += _sites(finding)
    items.append(content.text(codes.ALGORITHM_NAME, manifest.name, HAS_CONCEPT_MODIFIER))
    items.append(content.text(codes.ALGORITHM_VERSION, manifest.version, HAS_CONCEPT_MODIFIER))
    items.append(content.coded(codes.ALGORITHM_FAMILY, codes.ARTIFICIAL_INTELLIGENCE, HAS_CONCEPT_MODIFIER))
    return items


def _sites(finding: Finding) -> list[Dataset]:
    """Where it is. Laterality has its place under a site alone (TID 1419): without one, what was found is the site."""
    site = finding.site or (finding.concept if finding.laterality else None)
    if site is None:
        return []
    side = [content.coded(codes.LATERALITY, finding.laterality, HAS_CONCEPT_MODIFIER)] if finding.laterality else []
    return [content.coded(codes.FINDING_SITE, site, HAS_CONCEPT_MODIFIER, side)]


def _measurement(measurement: Measurement, finding: Finding) -> Dataset:
    """TID 300: a number with its concept and UCUM unit.

    Without a modifier of its own it says where it was measured: older versions of OHIF do not open a report in which a
    number has nothing below it.
    """
    if not math.isfinite(measurement.value):
        raise EncodingError(f"{measurement.concept} of finding {finding.key!r} is not a finite number")
    modifiers = ((codes.METHOD, measurement.method), (codes.DERIVATION, measurement.derivation))
    children = [content.coded(name, value, HAS_CONCEPT_MODIFIER) for name, value in modifiers if value is not None]
    return content.number(measurement.concept, float(measurement.value), measurement.unit, children or _sites(finding))


def _segment_reference(segment: Segment | None, context: Context) -> list[Dataset]:
    """The segment and the series that it was found in; nothing when it was empty and so was not written."""
    if segment is None or context.segmentation is None:
        return []
    number = context.numbers.get(track(context.author, segment.key, segment.tracking).uid)
    if number is None:
        return []
    ds = context.segmentation
    return [
        content.image(codes.REFERENCED_SEGMENT, ds.SOPClassUID, ds.SOPInstanceUID, segment=number),
        content.uid_reference(codes.SEGMENTATION_SOURCE_SERIES, context.stack.series_uid),
    ]


def _rectangle(finding: Finding, segment: Segment | None, context: Context) -> Rectangle | None:
    """Of a lesion's mask, else of the finding's box; None when there is neither. With viewer_hints of any segment: OHIF
    (3.13) shows nothing at all of a report in which a finding has no coordinates."""
    extent = context.extents.get(segment.key) if segment is not None else None
    if extent is not None and extent.segment.is_lesion:
        return largest_rectangle(extent)
    if finding.box is not None:
        return box_rectangle(finding.box, context.stack.shape)
    if extent is not None and context.viewer_hints:
        return middle_rectangle(extent, context.stack.shape[0])
    return None
