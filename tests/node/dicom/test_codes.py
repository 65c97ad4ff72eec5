"""Our codes are those of PS3.16 as pydicom has them, and codes of anyone are read."""

import pytest
from pydicom import Dataset
from pydicom.sr.codedict import codes as known

from node.dicom import codes
from node.dicom.codes import find_code, to_concept
from node.dicom.content import code_item
from pipelines.terms import Code

OURS = {name: value for name, value in vars(codes).items() if isinstance(value, Code)} | {
    f"MODALITIES[{key}]": code for key, code in codes.MODALITIES.items()
}
UNKNOWN = {"UMLS", "RFC5646", "99WETREAD", "UCUM"}
"""Schemes of which pydicom has no list, or only a part."""


@pytest.mark.parametrize("name", OURS)
def test_every_code_of_ours_is_the_standards_own_by_value_and_meaning(name):
    code = OURS[name]
    if code.scheme in UNKNOWN:
        return
    concepts = getattr(known, code.scheme).concepts
    meanings = {concept.meaning.lower() for concept in concepts.values() if concept.value == code.value}
    assert code.meaning.lower() in meanings | EXTRA.get(code.value, set())


EXTRA = {"260753009": {"source"}, "276214006": {"finding category"}, "2667000": {"absent"}}
"""Meanings that PS3.16 has and pydicom's list spells out otherwise."""


def test_no_two_names_stand_for_one_code():
    values = [(code.scheme, code.value) for code in OURS.values()]
    assert len(values) == len(set(values))


@pytest.mark.parametrize("code", OURS.values(), ids=str)
def test_a_code_comes_back_from_its_item(code):
    assert find_code(to_concept(code)) == code
    assert find_code(code_item(code)) == code


@pytest.mark.parametrize(
    ("attributes", "found"),
    [
        ({}, None),
        ({"CodeValue": "1", "CodeMeaning": "no scheme"}, None),
        ({"CodeMeaning": "no value", "CodingSchemeDesignator": "DCM"}, None),
        ({"CodeValue": "1", "CodingSchemeDesignator": "DCM"}, Code("1", "DCM", "1")),
        (
            {"LongCodeValue": "x" * 20, "CodingSchemeDesignator": "DCM", "CodeMeaning": "long"},
            Code("x" * 15 + "…", "DCM", "long"),
        ),
        ({"URNCodeValue": "urn:lex:us", "CodeMeaning": "a law"}, Code("urn:lex:us", "URN", "a law")),
        (
            {"CodeValue": "1", "CodingSchemeDesignator": "DCM", "CodeMeaning": "長" * 70},
            Code("1", "DCM", "長" * 63 + "…"),
        ),
    ],
)
def test_codes_that_others_write_are_read_as_far_as_they_go(attributes, found):
    item = Dataset()
    for keyword, value in attributes.items():
        setattr(item, keyword, value)
    assert find_code(item) == found
    assert find_code(None) is None
