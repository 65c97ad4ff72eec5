"""What a report says can be read back, ours and another's."""

import dataclasses

import pydicom
import pytest

from node.dicom.codes import LONG_AXIS, MILLIMETER, SHORT_AXIS
from node.dicom.read_report import read_findings, read_notes, read_outcome
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from pipelines.terms import Axes, Code, Result
from tests.results import (
    ATTENUATION,
    HOUNSFIELD,
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

ASKED, ANSWER = Code("NOD-DENS", "99WETREAD", "Density type"), Code("RID50151", "RADLEX", "Solid pulmonary nodule")


def test_our_report_comes_back_from_disk_as_it_was_meant(tmp_path):
    author, stack = make_author(), make_stack(make_series())
    result = make_result(stack.shape)
    axes = Axes(3, ((1.5, 5.0), (3.5, 8.5)), ((5.5, 6.5), (0.5, 7.5)), 4.5, 2.5)
    lesion = dataclasses.replace(result.findings[0], axes=axes, qualifiers=((ASKED, ANSWER),))
    result = Result(result.segments, (lesion, *make_empty_result().findings))
    segmentation = encode_segmentation(stack, result, author)
    write_dicom(encode_report(stack, result, author, segmentation), tmp_path / "sr.dcm")
    found = read_findings(pydicom.dcmread(tmp_path / "sr.dcm"))

    def line(plane, numbers):
        data = [float(text) for text in numbers.split()]
        uid = stack.headers[plane].SOPInstanceUID
        points = list(zip(data[::2], data[1::2], strict=True))
        return {"sop_instance_uid": uid, "frame": None, "graphic_type": "POLYLINE", "points": points}

    assert found == [
        {
            "tracking_uid": author.uid("track", "nodule-1"),
            "finding": NODULE,
            "site": LUNG,
            "laterality": RIGHT,
            "absent": False,
            "segment": {"sop_instance_uid": author.uid("segmentation"), "number": 1},
            "measurements": [
                {"concept": VOLUME, "value": 1.0, "unit": MILLILITER, "derivation": None, "line": None},
                {"concept": ATTENUATION, "value": -321.5, "unit": HOUNSFIELD, "derivation": MEAN, "line": None},
                {
                    "concept": LONG_AXIS,
                    "value": 4.5,
                    "unit": MILLIMETER,
                    "derivation": None,
                    "line": line(3, "5.5 2 9 4"),
                },
                {
                    "concept": SHORT_AXIS,
                    "value": 2.5,
                    "unit": MILLIMETER,
                    "derivation": None,
                    "line": line(3, "7 6 8 1"),
                },
            ],
            "regions": [line(2, "4 2 15 2 15 12 4 12 4 2")],
            "evaluations": [{"concept": ASKED, "value": ANSWER}],
            "comments": [],
        },
        {
            "tracking_uid": author.uid("track", "nodule"),
            "finding": NODULE,
            "site": LUNG,
            "laterality": None,
            "absent": True,
            "segment": None,
            "measurements": [],
            "regions": [],
            "evaluations": [],
            "comments": ["Looked for in all 5 planes and not found."],
        },
    ]


def test_a_report_by_dcmqi_is_read_too(real_data):
    ds = pydicom.dcmread(real_data / "dcmqi_seg_sr/data/sr-example/sr.dcm")
    (finding,) = read_findings(ds)
    assert finding["finding"].meaning == "Neoplasm, Primary"
    assert finding["site"].meaning == "pharyngeal tonsil (adenoid)"
    assert finding["segment"]["number"] == 1
    assert len(finding["measurements"]) == 22
    volume = next(m for m in finding["measurements"] if m["concept"].meaning == "Volume")
    assert (volume["value"], volume["unit"].value) == (33.5824, "ml")
    assert read_outcome(ds) == "" and read_notes(ds) == []


def test_a_measurement_that_was_not_obtained_is_no_number():
    stack = make_stack(make_series())
    report = encode_report(stack, make_result(stack.shape), make_author(), None)
    groups = next(i for i in report.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "126010")
    number = next(i for i in groups.ContentSequence[0].ContentSequence if i.ValueType == "NUM")
    number.MeasuredValueSequence = []
    (finding,) = read_findings(report)
    assert finding["measurements"][0] == {
        "concept": VOLUME, "value": None, "unit": None, "derivation": None, "line": None,
    }  # fmt: skip


@pytest.mark.parametrize("ds", [pydicom.Dataset(), make_series()[0]], ids=["nothing", "an image"])
def test_what_is_no_report_holds_no_finding(ds):
    assert read_findings(ds) == [] and read_notes(ds) == [] and read_outcome(ds) == ""


def test_groups_of_one_tracking_uid_are_one_finding_and_others_are_not():
    stack = make_stack(make_series())
    result = make_result(stack.shape, 3)
    segmentation = encode_segmentation(stack, result, make_author())
    report = encode_report(stack, result, make_author(), segmentation)
    assert [len(finding["regions"]) for finding in read_findings(report)] == [1, 1, 1]
    for group in groups_of(report):
        group.ContentSequence = [i for i in group.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue != "112040"]
    assert [len(finding["regions"]) for finding in read_findings(report)] == [0, 1, 0, 1, 0, 1]


def groups_of(report):
    return next(i for i in report.ContentSequence if i.ConceptNameCodeSequence[0].CodeValue == "126010").ContentSequence


def test_coordinates_that_select_no_image_are_read_without_one():
    stack = make_stack(make_series())
    result = make_result(stack.shape)
    report = encode_report(stack, result, make_author(), encode_segmentation(stack, result, make_author()))
    region = groups_of(report)[1].ContentSequence[-1]
    del region.ContentSequence
    (found,) = read_findings(report)[0]["regions"]
    assert (found["sop_instance_uid"], found["frame"], len(found["points"])) == ("", None, 5)
