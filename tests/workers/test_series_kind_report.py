"""The kind of a series as codes in the report that a PACS gets, of a stack and of a single plane."""

from datetime import UTC, datetime

import pytest

from node.dicom.authorship import Authorship
from node.dicom.find_stack import find_stack
from node.dicom.volume import load_volume
from pipelines.catalog import get_pipeline
from pipelines.terms import get_manifest
from tests.series import make_series, write_series
from workers.objects import Answer, encode_objects
from workers.tryout import run_alone


def list_codes(item):
    """(concept value, code value) of every CODE below `item`."""
    for child in item.get("ContentSequence") or ():
        if child.ValueType == "CODE":
            yield child.ConceptNameCodeSequence[0].CodeValue, child.ConceptCodeSequence[0].CodeValue
        yield from list_codes(child)


@pytest.mark.parametrize("planes", [1, 5])
def test_the_answer_is_a_coded_classification_in_the_report(planes, tmp_path):
    slices = make_series((planes, 40, 40), modality="MR", BodyPartExamined="KNEE", ContrastBolusAgent="GADOVIST")
    manifest = get_manifest("series-kind")
    stack, _ = find_stack(write_series(slices, tmp_path), manifest)
    volume = load_volume(stack)
    result = run_alone(get_pipeline("series-kind").load("cpu"), stack, volume)
    author = Authorship("0" * 32, manifest, datetime(2024, 1, 2, tzinfo=UTC), "WETREAD")
    (report,) = encode_objects(Answer(stack, volume, result, author), {}).datasets
    wanted = {
        "121139": "MR",
        "123014": "66019005",
        "113764": "24422004",
        "122086": "373066001",
        "IMAGEROLE": "ORIGINAL",
    }
    assert wanted.items() <= dict(list_codes(report)).items()
