"""What a report says can be read back, ours and another's."""

import pydicom
import pytest

from node.dicom.read_report import read_findings, read_notes, read_outcome
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from pipelines.terms import Result
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


def test_our_report_comes_back_from_disk_as_it_was_meant(tmp_path):
    author, stack = make_author(), make_stack(make_series())
    result = make_result(stack.shape)
    result = Result(result.segments, result.findings + make_empty_result().findings)
    segmentation = encode_segmentation(stack, result, author)
    write_dicom(encode_report(stack, result, author, segmentation), tmp_path / "sr.dcm")
    found = read_findings(pydicom.dcmread(tmp_path / "sr.dcm"))
    assert found == [
        {
            "tracking_uid": author.uid("track", "nodule-1"),
            "finding": NODULE,
            "site": LUNG,
            "laterality": RIGHT,
            "absent": False,
            "segment": {"sop_instance_uid": author.uid("segmentation"), "number": 1},
            "measurements": [
                {"concept": VOLUME, "value": 1.0, "unit": MILLILITER, "derivation": None},
                {"concept": ATTENUATION, "value": -321.5, "unit": HOUNSFIELD, "derivation": MEAN},
            ],
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
    assert finding["measurements"][0] == {"concept": VOLUME, "value": None, "unit": None, "derivation": None}


@pytest.mark.parametrize("ds", [pydicom.Dataset(), make_series()[0]], ids=["nothing", "an image"])
def test_what_is_no_report_holds_no_finding(ds):
    assert read_findings(ds) == [] and read_notes(ds) == [] and read_outcome(ds) == ""
