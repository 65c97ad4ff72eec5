"""Headers as DICOM JSON, beside what pydicom makes of the same bytes."""

import json
from io import BytesIO

import pytest
from pydicom import Dataset, FileMetaDataset, dcmread, dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from node.dicom.header import read_header
from node.web.dicomweb import json_model
from node.web.dicomweb.json_model import to_json


def make_item(number, deeper=()):
    item = Dataset()
    item.ReferencedSOPInstanceUID = f"1.2.{number}"
    item.ReferencedFrameNumber = [number, number + 1]
    item.CodeMeaning = "Größe"
    item.ImagePositionPatient = [1, -2.5, number]
    item.PatientSpeciesDescription = ""
    item.ContentSequence = Sequence(deeper)
    return item


def make_dataset():
    """Items that are the same and items that are not, three deep, long ones and short ones, and bulk data in one."""
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    long = make_item(7)
    long.RedPaletteColorLookupTableData = bytes(range(256)) * 8
    long.TextValue = "x" * 5000
    deep = [make_item(n % 3, [make_item(5), make_item(n, [make_item(1)])]) for n in range(20)]
    dataset.SourceImageSequence = Sequence([*deep, make_item(1, [long]), Dataset()])
    dataset.DerivationCodeSequence = Sequence()
    return dataset


def write(path, dataset, syntax=ExplicitVRLittleEndian):
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


def set_undefined(dataset):
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                set_undefined(item)


def to_pydicom_model(path):
    """By pydicom, with the character set and the places of bulk data that are ours."""
    dataset = dcmread(path)
    model = json.loads(dataset.to_json(1025, lambda element: f"{element.tag:08X}"))
    model["00080005"] = {"vr": "CS", "Value": ["ISO_IR 192"]}
    return model


def find_bulk(model, found):
    """Takes the bulk data's places out of `model`, to `found`, and leaves the tag. What is empty has no value (PS3.18
    F.2.5), which pydicom does not heed in sequences."""
    for element in model.values():
        if element.get("Value") == []:
            del element["Value"]
        if "BulkDataURI" in element:
            found.append(element["BulkDataURI"])
            element["BulkDataURI"] = element["BulkDataURI"].rpartition("/")[2]
        for item in element.get("Value", []) if element["vr"] == "SQ" else []:
            find_bulk(item, found)
    return model


@pytest.fixture
def parsed(monkeypatch):
    """The sequences that were left to the parser."""
    seen, whole = [], json_model._to_model

    def spy(element, path):
        if element.VR == "SQ":
            seen.append(path)
        return whole(element, path)

    monkeypatch.setattr(json_model, "_to_model", spy)
    return seen


@pytest.mark.parametrize("undefined", [False, True], ids=["defined", "undefined"])
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian], ids=["explicit", "implicit"])
def test_items_say_what_pydicom_says_and_bulk_data_says_where_it_is(tmp_path, syntax, undefined):
    dataset = make_dataset()
    if undefined:
        set_undefined(dataset)
    path = write(tmp_path / "one.dcm", dataset, syntax)
    places = []
    model = find_bulk(json.loads(to_json(read_header(path), encapsulated=False)), places)
    assert model == find_bulk(to_pydicom_model(path), [])
    assert places == ["bulkdata/00082112/21/0040A730/1/00281201"]


def test_a_sequence_that_is_laid_out_as_usual_is_not_parsed(tmp_path, parsed):
    path = write(tmp_path / "one.dcm", make_dataset())
    to_json(read_header(path), encapsulated=False)
    assert not parsed


def test_an_item_with_a_character_set_of_its_own_is_read_in_it(tmp_path, parsed):
    dataset = make_dataset()
    item = dataset.SourceImageSequence[3]
    item.SpecificCharacterSet = "ISO_IR 144"
    item.CodeMeaning = "Лёгкое"
    path = write(tmp_path / "one.dcm", dataset)
    model = json.loads(to_json(read_header(path), encapsulated=False))
    assert model["00082112"]["Value"][3]["00080104"]["Value"] == ["Лёгкое"]
    assert model["00082112"]["Value"][2]["00080104"]["Value"] == ["Größe"]
    assert "00082112" in parsed


@pytest.mark.parametrize("at", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_sequence_with_damaged_bytes_never_stops_the_rest(tmp_path, at):
    dataset = make_dataset()
    raw = BytesIO()
    write(raw, dataset)
    whole = bytearray(raw.getvalue())
    begin = whole.index(b"\x08\x00\x12\x21SQ")
    place = begin + 12 + int(at * (len(whole) - begin - 12))
    whole[place : place + 6] = b"\xff\x00\xff\xff\xff\x7f"
    path = tmp_path / "one.dcm"
    path.write_bytes(whole)
    model = json.loads(to_json(read_header(path), encapsulated=False))
    assert model["00082112"]["vr"] in ("SQ", "UN") and model["0020000D"]["Value"] == [dataset.StudyInstanceUID]
