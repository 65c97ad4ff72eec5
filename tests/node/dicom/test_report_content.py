"""Our content items are, byte for byte, those that highdicom makes with all its checks."""

import math
from io import BytesIO

import highdicom as hd
import numpy as np
import pytest
from highdicom import sr
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomFileLike
from pydicom.filewriter import write_dataset
from pydicom.uid import CTImageStorage, SegmentationStorage

from node.dicom import codes, content
from node.dicom.codes import to_concept
from node.dicom.measurement_group import make_context, measurement_groups
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation
from pipelines.steps.axes import with_axes
from pipelines.terms import Code, Finding, Measurement, Result
from tests.results import (
    ATTENUATION,
    CORPUS,
    HOUNSFIELD,
    LESION,
    LUNG,
    MEAN,
    MILLILITER,
    NODULE,
    RIGHT,
    VOLUME,
    make_author,
    make_empty_result,
    make_result,
    make_stack,
)
from tests.series import make_series

RELATIONSHIPS = ["CONTAINS", "HAS OBS CONTEXT", "HAS CONCEPT MOD", "HAS ACQ CONTEXT", "INFERRED FROM"]
NAMES = [LUNG, HOUNSFIELD, Code("REFUSALREASON", "99WETREAD", "断る理由"), Code("a" * 16, "b" * 16, "c" * 64)]
TEXTS = ["x", "two words ", "1\\2 backslashes\nand lines", "Grüße, 山田太郎, Иван", "y" * 5000]
NUMBERS = [0.0, -0.0, 1.0, -321.5, 1 / 3, 1e-12, 123456789.123456789, 6.02e23, -1e300, 5e-324, math.pi]
POINTS = [[(0.0, 0.0), (1.5, 2.25)], [(3.1, 4.2), (511.99, 0.01), (512.0, 512.0), (3.1, 4.2)]]


def encoded(*items):
    """The items as they stand in a file in UTF-8."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ContentSequence = list(items)
    file = DicomFileLike(BytesIO())
    file.is_implicit_VR, file.is_little_endian = False, True
    write_dataset(file, ds)
    return file.parent.getvalue()


def same(ours, theirs):
    assert encoded(ours) == encoded(theirs)
    assert ours == Dataset(theirs), "in memory too, where a reader may look before anything is written"


@pytest.mark.parametrize("name", NAMES, ids=str)
@pytest.mark.parametrize("relationship", RELATIONSHIPS)
def test_code_text_and_uid_reference(name, relationship):
    concept = to_concept(name)
    for value in NAMES:
        same(
            content.coded(name, value, relationship),
            sr.CodeContentItem(concept, to_concept(value), relationship_type=relationship),
        )
    for value in TEXTS:
        same(content.text(name, value, relationship), sr.TextContentItem(concept, value, relationship))
    for value in ("1.2.3", hd.UID()):
        same(content.uid_reference(name, value, relationship), sr.UIDRefContentItem(concept, value, relationship))


@pytest.mark.parametrize("value", NUMBERS)
@pytest.mark.parametrize("unit", [HOUNSFIELD, MILLILITER], ids=str)
def test_number(value, unit):
    ours, theirs = (
        content.number(VOLUME, value, unit),
        sr.NumContentItem(to_concept(VOLUME), value, to_concept(unit), relationship_type="CONTAINS"),
    )
    same(ours, theirs)
    measured = ours.MeasuredValueSequence[0]
    assert len(str(measured.NumericValue)) <= 16 and measured.FloatingPointValue == value


@pytest.mark.parametrize("relationship", ["CONTAINS", "SELECTED FROM", "INFERRED FROM"])
@pytest.mark.parametrize("frames", [(), (3,), (1, 2, 99999)])
@pytest.mark.parametrize("segment", [None, 1, 65535])
def test_image(relationship, frames, segment):
    theirs = sr.ImageContentItem(
        to_concept(codes.LIBRARY_IMAGE),
        CTImageStorage,
        "1.2.3",
        referenced_frame_numbers=list(frames) if len(frames) > 1 else frames[0] if frames else None,
        referenced_segment_numbers=segment,
        relationship_type=relationship,
    )
    ours = content.image(codes.LIBRARY_IMAGE, CTImageStorage, "1.2.3", relationship, frames=frames, segment=segment)
    same(ours, theirs)


@pytest.mark.parametrize("points", POINTS)
def test_polyline(points):
    source = content.image(codes.LIBRARY_IMAGE, CTImageStorage, "1.2.3", content.SELECTED_FROM)
    theirs = sr.ImageRegion("POLYLINE", np.array(points), sr.SourceImageForRegion(CTImageStorage, "1.2.3"))
    same(content.polyline(codes.IMAGE_REGION, points, content.CONTAINS, source), theirs)


@pytest.mark.parametrize("template", [None, "1500", "1410"])
@pytest.mark.parametrize("relationship", [None, "CONTAINS"])
@pytest.mark.parametrize("children", [0, 1, 3])
def test_container(template, relationship, children):
    theirs = sr.ContainerContentItem(to_concept(LUNG), False, template, relationship)
    if children:
        items = [sr.TextContentItem(to_concept(codes.COMMENT), f"{n}", "CONTAINS") for n in range(children)]
        theirs.ContentSequence = items
    ours = [content.text(codes.COMMENT, f"{n}") for n in range(children)]
    same(content.container(LUNG, ours, relationship=relationship, template=template), theirs)


def as_ours(group):
    """highdicom's group with the two things that we write otherwise: its items are no flowing text, and the name of
    the source series is spelled as in the template."""
    group.ContinuityOfContent = "SEPARATE"
    for item in group.ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue == "121232":
            item.ConceptNameCodeSequence[0].CodeMeaning = codes.SEGMENTATION_SOURCE_SERIES.meaning
    return group


def shared(finding, author, key, identifier=None):
    manifest = author.manifest
    return {
        "tracking_identifier": sr.TrackingIdentifier(author.uid("track", key), identifier or f"{manifest.name}/{key}"),
        "finding_type": to_concept(finding.concept),
        "finding_sites": [sr.FindingSite(to_concept(LUNG), to_concept(RIGHT))],
        "algorithm_id": sr.AlgorithmIdentification(
            manifest.name, manifest.version, family=to_concept(codes.ARTIFICIAL_INTELLIGENCE)
        ),
    }


def test_the_groups_of_a_lesion_are_those_that_highdicom_makes_of_the_same():
    stack, author = CORPUS["enhanced, some frames, reversed"](), make_author()
    result = with_axes(make_result(stack.shape), (1.5, 0.8, 0.7))
    finding, header = result.findings[0], stack.headers[0]
    ds = encode_segmentation(stack, result, author)
    numbers, region, axes = measurement_groups(finding, make_context(stack, result, author, ds, True))
    uids = (header.SOPClassUID, header.SOPInstanceUID)
    theirs = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        **shared(finding, author, "nodule-1"),
        finding_category=to_concept(LESION),
        referenced_segment=sr.ReferencedSegment(
            SegmentationStorage, ds.SOPInstanceUID, 1, source_series=sr.SourceSeriesForSegmentation(stack.series_uid)
        ),
        measurements=[
            sr.Measurement(
                to_concept(VOLUME),
                1.0,
                to_concept(MILLILITER),
                finding_sites=[sr.FindingSite(to_concept(LUNG), to_concept(RIGHT))],
            ),
            sr.Measurement(to_concept(ATTENUATION), -321.5, to_concept(HOUNSFIELD), derivation=to_concept(MEAN)),
        ],
    )
    same(numbers, as_ours(theirs[0]))

    points = np.array(region.ContentSequence[-1].GraphicData).reshape(-1, 2)
    frame = int(region.ContentSequence[-1].ContentSequence[0].ReferencedSOPSequence[0].ReferencedFrameNumber)
    theirs = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        **shared(finding, author, "nodule-1"),
        finding_category=to_concept(LESION),
        referenced_region=sr.ImageRegion("POLYLINE", points, sr.SourceImageForRegion(*uids, [frame])),
    )
    same(region, as_ours(theirs[0]))

    number = stack.frames[finding.axes.plane][1]
    theirs = sr.MeasurementsAndQualitativeEvaluations(
        **shared(finding, author, "nodule-1", "Cornerstone3DTools@^0.1.0:Bidirectional:lung-nodule/nodule-1"),
        finding_category=to_concept(LESION),
        measurements=[
            sr.Measurement(
                to_concept(concept),
                millimeters,
                to_concept(codes.MILLIMETER),
                referenced_coordinates=[
                    sr.CoordinatesForMeasurement(
                        "POLYLINE",
                        np.array(ends)[:, ::-1] + 0.5,
                        sr.SourceImageForRegion(*uids, [number]),
                        purpose=to_concept(codes.SOURCE_OF_MEASUREMENT),
                    )
                ],
            )
            for concept, millimeters, ends in (
                (codes.LONG_AXIS, finding.axes.long_mm, finding.axes.long),
                (codes.SHORT_AXIS, finding.axes.short_mm, finding.axes.short),
            )
        ],
    )
    same(axes, as_ours(theirs[0]))


def test_the_group_of_what_was_not_found_is_the_one_that_highdicom_makes():
    stack, author, result = make_stack(make_series()), make_author(), make_empty_result()
    (group,) = measurement_groups(result.findings[0], make_context(stack, result, author, None, True))
    middle = stack.headers[2]
    theirs = sr.MeasurementsAndQualitativeEvaluations(
        **{**shared(result.findings[0], author, "nodule"), "finding_sites": [sr.FindingSite(to_concept(LUNG))]},
        qualitative_evaluations=[sr.QualitativeEvaluation(to_concept(codes.PRESENCE), to_concept(codes.ABSENT))],
        source_images=[sr.SourceImageForMeasurementGroup(middle.SOPClassUID, middle.SOPInstanceUID)],
    )[0]
    sentence = "Looked for in all 5 planes and not found."
    theirs.ContentSequence.append(sr.TextContentItem(to_concept(codes.COMMENT), sentence, "CONTAINS"))
    same(group, as_ours(theirs))


def test_the_document_opens_as_one_by_highdicom_does():
    stack, author = make_stack(make_series()), make_author()
    manifest = author.manifest
    report = encode_report(stack, make_empty_result(), author, None)
    device = sr.DeviceObserverIdentifyingAttributes(
        author.device_uid, author.station, manufacturer_name=manifest.manufacturer, model_name=manifest.name
    )
    theirs = [
        *sr.LanguageOfContentItemAndDescendants(to_concept(codes.ENGLISH)),
        *sr.ObservationContext(sr.ObserverContext(to_concept(codes.DEVICE), device)),
        sr.CodeContentItem(
            to_concept(codes.PROCEDURE_REPORTED), to_concept(manifest.procedure), relationship_type="HAS CONCEPT MOD"
        ),
    ]
    assert encoded(*report.ContentSequence[: len(theirs)]) == encoded(*theirs)


def test_a_method_is_said_before_the_derivation_as_highdicom_does():
    recist = Code("112022", "DCM", "RECIST 1.1")
    stack, author = make_stack(make_series()), make_author()
    finding = Finding("n", NODULE, measurements=(Measurement(VOLUME, 3.0, MILLILITER, MEAN, recist),))
    result = Result((), (finding,))
    (group,) = measurement_groups(finding, make_context(stack, result, author, None, True))
    (number,) = [item for item in group.ContentSequence if item.ValueType == "NUM"]
    (theirs,) = sr.Measurement(
        to_concept(VOLUME), 3.0, to_concept(MILLILITER), method=to_concept(recist), derivation=to_concept(MEAN)
    )
    same(number, theirs)


def test_changing_one_item_changes_no_other():
    one, other = content.coded(LUNG, NODULE), content.coded(LUNG, NODULE)
    one.ConceptCodeSequence[0].CodeMeaning = "changed"
    one.ConceptNameCodeSequence[0].CodeValue = "changed"
    same(other, sr.CodeContentItem(to_concept(LUNG), to_concept(NODULE), relationship_type="CONTAINS"))


def test_what_is_read_back_equals_what_was_made():
    item = content.number(VOLUME, 1 / 3, MILLILITER, [content.coded(codes.DERIVATION, MEAN, "HAS CONCEPT MOD")])
    back = dcmread(BytesIO(encoded(item)), force=True).ContentSequence[0]
    assert back.MeasuredValueSequence[0].FloatingPointValue == 1 / 3
    assert encoded(back) == encoded(item)
