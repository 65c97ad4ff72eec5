"""Sequences as bytes: what pydicom would write, to the byte."""

import tempfile
from pathlib import Path

import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.valuerep import DSfloat

from node.dicom import write
from node.dicom.plain import ease
from tests import corpus

CASES = (
    "plain",
    "enhanced multi-frame",
    "charset ISO 2022 IR 87, Japanese",
    "charset none declared",
    "no PatientName",
    "JPEG lossless",
    "empty result",
    "refusal",
    "20 segments",
    "overlap",
)


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    return {case.name: case for case in corpus.make_cases(tmp_path_factory.mktemp("sources")) if case.name in CASES}


def copy(dataset):
    """What pydicom's writer is given when nothing is eased."""
    whole = Dataset({tag: dataset.get_item(tag) for tag in dataset.keys()})  # noqa: SIM118
    implicit, little = dataset.original_encoding
    whole.set_original_encoding(implicit, little, dataset.original_character_set)
    return whole


def write_out(dataset, path):
    draft = write.draft_dicom(dataset, path)
    draft.write()
    written = draft.part.read_bytes()
    draft.drop()
    return written


@pytest.mark.parametrize("name", CASES)
def test_every_object_is_written_as_pydicom_writes_it(cases, name, tmp_path, monkeypatch):
    made, eased = {}, 0
    for kind, encode in corpus.KINDS.items():
        dataset = encode(cases[name], made)
        if dataset is None:
            continue
        made[kind] = dataset
        ours = write_out(dataset, tmp_path / "ours.dcm")
        with monkeypatch.context() as patch:
            patch.setattr(write, "ease", copy)
            theirs = write_out(dataset, tmp_path / "theirs.dcm")
        assert ours == theirs, kind
        whole = ease(dataset)
        eased += sum(isinstance(whole.get_item(tag), RawDataElement) for tag in whole.keys())  # noqa: SIM118
    assert eased > 5


def nested(**values):
    item, dataset = Dataset(), Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    dataset.PatientID = "nobody"
    dataset.ReferencedSeriesSequence = [item]
    return dataset


def is_eased(dataset):
    return isinstance(ease(dataset).get_item("ReferencedSeriesSequence"), RawDataElement)


def encode(dataset):
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.3"
    with tempfile.TemporaryDirectory() as folder:
        return write_out(dataset, Path(folder) / "one.dcm")


@pytest.mark.parametrize(
    "values",
    [
        {"SliceThickness": "1.50", "ImageOrientationPatient": [1, 0, 0, "0.10", 1e-7, -1]},
        {"SliceThickness": DSfloat("1.50"), "InstanceNumber": "007"},
        {"Rows": 512, "SimpleFrameList": [1, 2, 3], "RealWorldValueSlope": 0.1, "ReferencedFrameNumber": [1, 20]},
        {"SeriesInstanceUID": "1.2.3", "ReferencedSOPInstanceUID": "1.2.34", "CodeValue": "", "CodeMeaning": None},
        {"TextValue": "odd", "StudyDate": "20240101", "StudyTime": "1011", "URNCodeValue": "urn:x", "ImageType": []},
        {"ReferencedSOPSequence": []},
        {"ImageType": ["DERIVED", "PRIMARY", ""]},
    ],
)
def test_every_plain_value_is_written_as_pydicom_writes_it(values, monkeypatch):
    dataset = nested(**values)
    assert is_eased(dataset)
    ours = encode(dataset)
    monkeypatch.setattr(write, "ease", copy)
    assert ours == encode(nested(**values))


@pytest.mark.filterwarnings("ignore:The value")
@pytest.mark.parametrize(
    "values",
    [
        {"TextValue": "Lungenfl\u00fcgel"},
        {"PersonName": "Nobody^At^All"},
        {"EncapsulatedDocument": b"\0\1"},
        {"TextValue": "x" * 0xFFFF, "StudyID": "y" * 0xFFFF},  # UN, PS3.5 6.2.2
    ],
)
def test_what_is_not_plain_is_left_to_pydicom(values, monkeypatch):
    dataset = nested(**values)
    assert not is_eased(dataset)
    dataset.SpecificCharacterSet = "ISO_IR 100"
    ours = encode(dataset)
    monkeypatch.setattr(write, "ease", copy)
    assert ours == encode(dataset)


def test_an_ambiguous_value_anywhere_is_left_to_pydicom():
    dataset = nested(SeriesInstanceUID="1.2.3")
    dataset.add(DataElement(0x00280106, "US or SS", 3))
    assert not is_eased(dataset)
    dataset.PixelRepresentation = 0
    assert b"\x28\x00\x06\x01US\x02\x00\x03\x00" in encode(dataset)
    inner = nested(SeriesInstanceUID="1.2.3")
    inner.ReferencedSeriesSequence[0].add(DataElement(0x00280106, "US or SS", 3))
    inner.PixelRepresentation = 0
    assert not is_eased(inner)
    assert b"\x28\x00\x06\x01US\x02\x00\x03\x00" in encode(inner)


def test_the_dataset_itself_stays_as_it_is():
    dataset = nested(SeriesInstanceUID="1.2.3")
    ease(dataset)
    assert dataset.ReferencedSeriesSequence[0].SeriesInstanceUID == "1.2.3"
    assert dataset.original_encoding == (None, None)
