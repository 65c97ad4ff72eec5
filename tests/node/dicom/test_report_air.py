"""What IHE AI Results asks of a result's identity holds across the segmentation and the report (AIR 6.5.3.1)."""

import pytest
from pydicom import Dataset

from node.dicom.report import encode_refusal, encode_report
from node.dicom.segmentation import encode_segmentation
from pipelines.steps.axes import with_axes
from pipelines.terms import Code, Finding, Result
from tests.results import LUNG, NODULE, make_author, make_result, make_stack
from tests.series import make_series

CID_100 = {"CT": ("25045-6", "LN"), "MR": ("25056-3", "LN")}
"""Of the procedures that a Quantitative Diagnostic Imaging report may be about: CT and MR of any region."""


def walk(item):
    yield item
    for child in item.get("ContentSequence") or []:
        yield from walk(child)


def said(item, value):
    """The texts and uids of every content item below `item` whose concept name has the Code Value `value`."""
    found = [
        i for i in walk(item) if "ConceptNameCodeSequence" in i and i.ConceptNameCodeSequence[0].CodeValue == value
    ]
    return [str(i.get("TextValue") or i.get("UID") or i.ConceptCodeSequence[0].CodeValue) for i in found]


@pytest.fixture(scope="module")
def objects():
    stack, author = make_stack(make_series()), make_author()
    result = with_axes(make_result(stack.shape, 2), (1.5, 0.8, 0.7))
    absent = Finding("effusion", Code("60046008", "SCT", "Pleural effusion"), site=LUNG, absent=True)
    result = Result(result.segments, (*result.findings, absent), result.notes)
    segmentation = encode_segmentation(stack, result, author)
    report = encode_report(stack, result, author, segmentation)
    refusal = encode_refusal(stack.headers, author, "MissingSlices", "A plane is missing")
    return {"segmentation": segmentation, "report": report, "refusal": refusal}


def algorithm(ds: Dataset) -> Dataset:
    """The one item of Contributing Equipment that is the algorithm: Processing Equipment."""
    (item,) = [
        item
        for item in ds.ContributingEquipmentSequence
        if (
            item.PurposeOfReferenceCodeSequence[0].CodeValue,
            item.PurposeOfReferenceCodeSequence[0].CodingSchemeDesignator,
        )
        == ("109102", "DCM")
    ]
    return item


@pytest.mark.parametrize("kind", ["segmentation", "report", "refusal"])
@pytest.mark.parametrize("keyword", ["Manufacturer", "ManufacturerModelName", "SoftwareVersions", "DeviceUID"])
def test_contributing_equipment_names_the_algorithm_in_every_object_alike(objects, kind, keyword):
    value = algorithm(objects[kind])[keyword].value
    assert value and value == algorithm(objects["segmentation"])[keyword].value
    assert value == objects[kind][keyword].value, "it is the equipment of the series too"


@pytest.mark.parametrize(
    ("concept", "keyword"),
    [
        ("121012", "DeviceUID"),
        ("121014", "Manufacturer"),
        ("121015", "ManufacturerModelName"),
    ],
)
@pytest.mark.parametrize("kind", ["report", "refusal"])
def test_the_observer_is_the_equipment(objects, kind, concept, keyword):
    assert said(objects[kind], concept) == [algorithm(objects[kind])[keyword].value]


@pytest.mark.parametrize(("concept", "keyword"), [("111001", "ManufacturerModelName"), ("111003", "SoftwareVersions")])
def test_the_algorithm_of_every_group_is_the_equipment(objects, concept, keyword):
    groups = [item for item in walk(objects["report"]) if item.get("ContentTemplateSequence")][1:]
    assert len(groups) == 7, "three for each of two lesions, one for what is absent"
    assert [said(group, concept) for group in groups] == [[algorithm(objects["report"])[keyword].value]] * 7


@pytest.mark.parametrize(
    ("attribute", "keyword"),
    [
        ("AlgorithmSource", "Manufacturer"),
        ("AlgorithmName", "ManufacturerModelName"),
        ("AlgorithmVersion", "SoftwareVersions"),
    ],
)
def test_the_algorithm_of_every_segment_is_the_equipment(objects, attribute, keyword):
    items = [s.SegmentationAlgorithmIdentificationSequence[0] for s in objects["segmentation"].SegmentSequence]
    assert [item[attribute].value for item in items] == [algorithm(objects["segmentation"])[keyword].value] * 2


def test_segments_and_groups_are_tracked_under_the_same_uids_and_names(objects):
    groups = [item for item in walk(objects["report"]) if item.get("ContentTemplateSequence")][1:]
    by_uid = {}
    for group in groups:
        (uid,), (name,) = said(group, "112040"), said(group, "112039")
        by_uid.setdefault(uid, []).append(name)
    for segment in objects["segmentation"].SegmentSequence:
        names = by_uid.pop(segment.TrackingUID)
        assert len(names) == 3 and all(name.endswith(segment.TrackingID) for name in names)
    assert list(by_uid.values()) == [["lung-nodule/effusion"]]


def test_what_a_segment_is_a_group_says_in_the_same_codes(objects):
    for segment in objects["segmentation"].SegmentSequence:
        groups = [
            item for item in walk(objects["report"])
            if item.get("ContentTemplateSequence") and segment.TrackingUID in said(item, "112040")
            and item.ContentTemplateSequence[0].TemplateIdentifier != "1500"
        ]  # fmt: skip
        for group in groups:
            assert said(group, "276214006") == [segment.SegmentedPropertyCategoryCodeSequence[0].CodeValue]
            assert said(group, "121071") == [segment.SegmentedPropertyTypeCodeSequence[0].CodeValue]
            assert set(said(group, "363698007")) == {segment.AnatomicRegionSequence[0].CodeValue}


def test_evidence_lists_all_that_the_content_refers_to_and_nothing_else(objects):
    (study,) = objects["report"].CurrentRequestedProcedureEvidenceSequence
    evidence = {r.ReferencedSOPInstanceUID for s in study.ReferencedSeriesSequence for r in s.ReferencedSOPSequence}
    used = {r.ReferencedSOPInstanceUID for i in walk(objects["report"]) for r in i.get("ReferencedSOPSequence") or []}
    assert used == evidence
    assert objects["segmentation"].SOPInstanceUID in evidence


def test_other_weights_are_another_device(objects):
    stack = make_stack(make_series())
    other = encode_report(stack, make_result(stack.shape), make_author(weights_sha256="cd" * 32), None)
    assert algorithm(other).DeviceUID != algorithm(objects["report"]).DeviceUID
    assert said(other, "121012") == [algorithm(other).DeviceUID]


@pytest.mark.parametrize(("modality", "procedure"), CID_100.items())
def test_the_procedure_reported_is_that_of_the_imaging_not_of_the_algorithm(modality, procedure):
    stack = make_stack(make_series(modality=modality))
    author = make_author(procedure=Code(*procedure, f"{modality} unspecified body region"))
    report = encode_report(stack, Result((), (Finding("n", NODULE, absent=True),)), author, None)
    (item,) = [i for i in report.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "121058"]
    code = item.ConceptCodeSequence[0]
    assert (code.CodeValue, code.CodingSchemeDesignator) == procedure
    assert item.RelationshipType == "HAS CONCEPT MOD"
