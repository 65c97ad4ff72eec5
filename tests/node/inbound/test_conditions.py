"""What a route asks of a series: equality, any of, none of, ranges, patterns, absence, items of sequences."""

import pytest
from pydantic import ValidationError
from pydicom import Dataset
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag

from node.inbound.conditions import find_mismatch
from node.sections import Route
from tests.series import make_series


def header(**changes):
    return make_series((1, 4, 4), **changes)[0]


def ask(when, asked=None, **options):
    route = Route.model_validate({"name": "r", "pipeline": "lung-seg", "when": when})
    return find_mismatch(route.when, header() if asked is None else asked, **options)


@pytest.mark.parametrize(
    ("when", "matches"),
    [
        ({"Modality": "CT"}, True),
        ({"Modality": "ct "}, True),
        ({"Modality": ["MR", "CT"]}, True),
        ({"Modality": "MR"}, False),
        ({"BodyPartExamined": "CHEST"}, False),
        ({"ImageType": "AXIAL"}, True),
        ({"KVP": 120}, True),
        ({"KVP": "120"}, True),
        ({"KVP": 80}, False),
        ({}, True),
        ({"Modality": {"any": ["CT"]}}, True),
        ({"ImageType": {"none": ["LOCALIZER", "DERIVED"]}}, True),
        ({"ImageType": {"none": ["axial"]}}, False),
        ({"BodyPartExamined": {"none": ["HEAD"]}}, True),
        ({"KVP": {"min": 100, "max": 120}}, True),
        ({"KVP": {"min": 120.5}}, False),
        ({"KVP": {"max": 119}}, False),
        ({"BodyPartExamined": {"max": 119}}, False),
        ({"StudyDate": {"min": 20240101, "max": 20241231}}, True),
        ({"StudyDate": {"min": 20250101}}, False),
        ({"ImageType": {"like": "^ax"}}, True),
        ({"ImageType": {"like": "^xi"}}, False),
        ({"BodyPartExamined": {"like": "."}}, False),
        ({"BodyPartExamined": {"absent": True}}, True),
        ({"BodyPartExamined": {"absent": False}}, False),
        ({"Modality": {"absent": True}}, False),
        ({"ImageType": {"any": ["AXIAL"], "none": ["DERIVED"]}}, True),
        ({"ImageType": {"any": ["AXIAL"], "none": ["ORIGINAL"]}}, False),
    ],
)
def test_conditions_compare_as_an_administrator_expects(when, matches):
    assert (ask(when) is None) is matches


def test_conditions_reach_into_the_items_of_sequences():
    requested, first, second = Dataset(), Dataset(), Dataset()
    first.CodeValue, second.CodeValue = "A1", "B2"
    requested.RequestedProcedureCodeSequence = [first, second]
    asked = header(RequestAttributesSequence=[requested])
    path = "RequestAttributesSequence.RequestedProcedureCodeSequence.CodeValue"
    assert ask({path: "b2"}, asked) is None
    assert ask({path: {"none": ["B2"]}}, asked) == f"{path} is B2, which is kept out"
    assert ask({path: "C3"}, asked) == f"{path} is not C3"
    assert ask({path: "C3"}) == f"{path} is absent, not C3"
    assert ask({"RequestAttributesSequence": {"absent": False}}, asked) is None


def test_a_mismatch_quotes_the_condition_and_the_images_only_when_asked():
    said = ask({"PatientName": "SOMEONE^ELSE"})
    assert "SOMEONE^ELSE" in said
    assert "TEST" not in said.upper().replace("SOMEONE^ELSE", "")
    assert ask({"KVP": {"min": 130}}, quote=True) == "KVP is not within 130 to inf, it is 120"
    assert ask({"ImageType": "MPR"}, quote=True).endswith("not MPR, it is ORIGINAL and PRIMARY and AXIAL")


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ({"KVP": {}}, "asks nothing"),
        ({"KVP": {"above": 3}}, "Extra inputs"),
        ({"SeriesDescription": {"like": "("}}, "no regular expression"),
        ({"KVP": {"min": "much"}}, "valid number"),
    ],
)
def test_a_condition_that_makes_no_sense_is_refused_at_the_start(when, said):
    with pytest.raises(ValidationError, match=said):
        ask(when)


@pytest.mark.parametrize(("keyword", "vr"), [("Rows", "US"), ("DiffusionBValue", "FD")])
def test_a_value_that_breaks_off_is_no_value(keyword, vr):
    damaged = header()
    damaged[keyword] = RawDataElement(Tag(tag_for_keyword(keyword)), vr, 3, b"\x00\x01\x02", 0, False, True)
    assert "absent" in ask({keyword: {"min": 1}}, damaged)
    assert ask({keyword: {"absent": True}}, damaged) is None
