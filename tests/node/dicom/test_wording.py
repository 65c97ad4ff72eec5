"""Numbers as people write them."""

from dataclasses import replace

import pytest

from node.dicom.wording import format_number, format_value, list_axes, name_finding, name_measurement
from pipelines.terms import Axes, Code, Measurement
from tests.results import ATTENUATION, HOUNSFIELD, MEAN, make_empty_result, make_finding, make_result


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.25, "1.25"),
        (2345.678, "2346"),
        (1234567.8, "1234568"),
        (0.012345, "0.01235"),
        (-321.5, "-321.5"),
        (0.0, "0"),
        (10.0, "10"),
        (100.0, "100"),
        (99.996, "100"),
        (1e-9, "1e-09"),
    ],
)
def test_a_number_has_four_digits_that_count(value, text):
    assert format_number(value) == text


def test_units_are_those_that_people_write():
    assert format_value(Measurement(ATTENUATION, -321.5, HOUNSFIELD)) == "-321.5 HU"
    assert format_value(Measurement(ATTENUATION, 0.5, Code("1", "UCUM", "no units"))) == "0.5"
    assert format_value(Measurement(ATTENUATION, 3, Code("{nodules}", "UCUM", "nodules"))) == "3"
    assert name_measurement(Measurement(ATTENUATION, 1, HOUNSFIELD, derivation=MEAN)) == (
        "Attenuation Coefficient (Mean)"
    )


def test_a_finding_is_called_by_its_segment_or_by_what_and_where_it_is():
    result = make_result((5, 16, 18))
    assert name_finding(make_finding(), result) == "nodule-1"
    assert name_finding(make_empty_result().findings[0], result) == "Nodule, Lung"


def test_diameters_are_told_where_there_are_any():
    axes = Axes(3, ((1.5, 5.0), (3.5, 8.5)), ((5.5, 6.5), (0.5, 7.5)), 25.46, 12.0)
    measured = replace(make_finding(), axes=axes)
    assert list_axes(measured) == [("Long Axis", "25.46", "mm"), ("Short Axis", "12", "mm")]
    assert list_axes(make_finding()) == list_axes(replace(measured, absent=True)) == []
