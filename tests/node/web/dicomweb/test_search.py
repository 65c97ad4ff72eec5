"""QIDO-RS: what is found by which key, and what each answer holds."""

import numpy as np
import pytest
import requests
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

from tests.node.web.dicomweb.archive import Store, serve
from tests.series import make_slice

PEOPLE = (
    # study, date, time, name, patient id, accession, modality, body part
    ("1.2.1", "20240101", "080000", "Doe^Jane", "A1", "ACC1", "CT", "CHEST"),
    ("1.2.2", "20240215", "120000.5", "DOE^JOHN", "A2", "ACC2", "CT", "HEAD"),
    ("1.2.3", "20240301", "235959", "Müller^Anna", "B1", "ACC3", "MR", "HEAD"),
    ("1.2.4", "20250101", "1015", "Roe^[x]", "B2", "", "MR", ""),
)


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Four studies, the first with a second series of two images."""
    store = Store(tmp_path_factory.mktemp("town"), most_results=5)
    for study, date, time, name, patient, accession, modality, part in PEOPLE:
        said = {"StudyDate": date, "StudyTime": time, "PatientName": name, "PatientID": patient}
        said |= {"AccessionNumber": accession, "BodyPartExamined": part, "StudyInstanceUID": study}
        said |= {"SeriesInstanceUID": f"{study}.1", "SpecificCharacterSet": "ISO_IR 192"}
        store.keep_dataset(make_slice(np.zeros((4, 4), np.int16), (0, 0, 0), modality=modality, **said))
    request = Dataset()
    request.ScheduledProcedureStepID, request.RequestedProcedureID = "SPS7", "RP7"
    said = {"StudyInstanceUID": "1.2.1", "SeriesInstanceUID": "1.2.1.2", "Modality": "PT", "SeriesNumber": 7}
    said |= {"StudyDate": "20240101", "StudyTime": "080000", "PatientName": "Doe^Jane", "PatientID": "A1"}
    for number in (2, 10):
        changes = said | {"InstanceNumber": number, "RequestAttributesSequence": [request]}
        store.keep_dataset(make_slice(np.zeros((4, 4), np.int16), (0, 0, number), **changes))
    with serve(store) as address:
        yield address


def ask(town, path, **parameters):
    answer = requests.get(f"{town}/{path}", params=parameters, timeout=10)
    assert answer.status_code in (200, 204), answer.text
    return [Dataset.from_json(one) for one in answer.json()] if answer.status_code == 200 else []


def studies(town, **parameters):
    return sorted(ds.StudyInstanceUID for ds in ask(town, "studies", **parameters))


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("StudyInstanceUID", "1.2.2", "2"),
        ("StudyInstanceUID", "1.2.2,1.2.4", "24"),
        ("StudyInstanceUID", "1.2.2\\1.2.4", "24"),
        ("0020000D", "1.2.3", "3"),
        ("PatientID", "A1", "1"),
        ("00100020", "A*", "12"),
        ("PatientID", "?2", "24"),
        ("PatientID", "A1\\B1", "13"),
        ("PatientID", "a1", ""),
        ("PatientName", "doe*", "12"),
        ("PatientName", "DOE^JANE", "1"),
        ("PatientName", "*MÜLLER*", "3"),
        ("PatientName", "Roe^[x]", "4"),
        ("PatientName", "Roe^[x*", "4"),
        ("PatientName", "Doe", ""),
        ("AccessionNumber", "ACC2", "2"),
        ("StudyDate", "20240215", "2"),
        ("StudyDate", "20240201-20241231", "23"),
        ("StudyDate", "-20240131", "1"),
        ("StudyDate", "20240301-", "34"),
        ("StudyTime", "1015", "4"),
        ("StudyTime", "10-12", "24"),
        ("StudyTime", "1200-", "23"),
        ("ModalitiesInStudy", "PT", "1"),
        ("ModalitiesInStudy", "CT", "12"),
        ("ModalitiesInStudy", "CT\\MR", "1234"),
        ("ModalitiesInStudy", "M?", "34"),
        ("Modality", "PT", "1"),
        ("SOPClassesInStudy", "1.2.840.10008.5.1.4.1.1.4", "34"),
        ("SOPClassUID", "1.2.840.10008.5.1.4.1.1.4", "34"),
        ("BodyPartExamined", "HEAD", "23"),
        ("PatientSex", "O", "1234"),
        ("PatientBirthDate", "19700101", "1234"),
        ("SeriesInstanceUID", "1.2.1.2", "1"),
        ("RequestAttributesSequence.ScheduledProcedureStepID", "SPS7", "1"),
        ("00400275.00401001", "RP*", "1"),
        ("PatientID", "", "1234"),
        ("PatientID", "*", "1234"),
    ],
)
def test_a_study_is_found_by(town, key, value, found):
    assert studies(town, **{key: value}) == [f"1.2.{n}" for n in found]


def test_keys_are_all_to_be_met_and_those_of_a_series_by_one_series(town):
    assert studies(town, PatientName="doe*", StudyDate="20240101") == ["1.2.1"]
    assert studies(town, Modality="PT", SeriesNumber="7") == ["1.2.1"]
    assert studies(town, Modality="CT", SeriesNumber="7") == []


def test_series_and_instances_are_found_by_their_own_keys_and_those_above(town):
    def uids(path, word, **parameters):
        return [ds[word].value for ds in ask(town, path, **parameters)]

    assert uids("series", "SeriesInstanceUID", PatientID="A1") == ["1.2.1.1", "1.2.1.2"]
    assert uids("studies/1.2.1/series", "SeriesInstanceUID", Modality="PT") == ["1.2.1.2"]
    assert uids("studies/1.2.1/series", "SeriesInstanceUID", SeriesDescription="made*") == ["1.2.1.1", "1.2.1.2"]
    assert uids("studies/1.2.1/series", "SeriesInstanceUID", **{"00400275.00400009": "SPS7"}) == ["1.2.1.2"]
    assert uids("studies/1.2.1/series/1.2.1.2/instances", "InstanceNumber") == [2, 10]
    assert uids("studies/1.2.1/instances", "InstanceNumber", InstanceNumber="10") == [10]
    assert uids("instances", "StudyInstanceUID", Modality="PT", InstanceNumber="2") == ["1.2.1"]
    assert uids("instances", "StudyInstanceUID", ImagePositionPatient="10", Rows="4") == ["1.2.1"]


def test_an_answer_holds_what_the_standard_asks_for(town):
    (study,) = ask(town, "studies", StudyInstanceUID="1.2.1")
    assert sorted(study.ModalitiesInStudy) == ["CT", "PT"]
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (2, 3)
    assert study.RetrieveURL == f"{town}/studies/1.2.1"
    assert (study.InstanceAvailability, study.PatientName, study.StudyDate) == ("ONLINE", "Doe^Jane", "20240101")
    (series,) = ask(town, "studies/1.2.1/series", Modality="PT")
    assert (series.NumberOfSeriesRelatedInstances, series.SeriesNumber, series.Modality) == (2, 7, "PT")
    assert series.RequestAttributesSequence[0].ScheduledProcedureStepID == "SPS7"
    assert series.RetrieveURL == f"{town}/studies/1.2.1/series/1.2.1.2"
    assert "PatientName" not in series
    assert ask(town, "series", Modality="PT")[0].PatientName == "Doe^Jane"
    instance = ask(town, "studies/1.2.1/series/1.2.1.2/instances")[0]
    assert (instance.Rows, instance.Columns, instance.BitsAllocated, instance.InstanceNumber) == (4, 4, 16, 2)
    assert instance.RetrieveURL.startswith(f"{town}/studies/1.2.1/series/1.2.1.2/instances/")


def test_fields_are_included_by_keyword_tag_or_all(town):
    path = "studies/1.2.1/series/1.2.1.2/instances"
    tags = [f"{tag_for_keyword(word):08X}" for word in ("ImagePositionPatient", "PatientName")]
    answer = requests.get(f"{town}/{path}", params={"includefield": ["ImagePositionPatient", tags[1]]}, timeout=10)
    assert all(tags[0] in one and tags[1] in one for one in answer.json())
    assert "PixelSpacing" not in Dataset.from_json(answer.json()[0])
    (whole, _) = ask(town, path, includefield="all")
    assert (whole.PixelSpacing, whole.PatientID, whole.SeriesDescription) == ([0.8, 0.7], "A1", "made for a test")
    assert "DeviceSerialNumber" not in ask(town, "studies", includefield="DeviceSerialNumber")[0]


def test_pages_follow_each_other_and_the_client_is_told_of_more(town):
    first = requests.get(f"{town}/instances", timeout=10)
    assert len(first.json()) == 5
    assert "299" in first.headers["Warning"]
    assert "maximum supported" in first.headers["Warning"]
    assert len(ask(town, "instances", offset=5)) == 1
    pages = [ask(town, "studies", limit=1, offset=n)[0].StudyInstanceUID for n in range(4)]
    assert pages == ["1.2.4", "1.2.3", "1.2.2", "1.2.1"]
    assert ask(town, "studies", limit=1, offset=4) == []
    assert "Warning" not in requests.get(f"{town}/studies?limit=2", timeout=10).headers


def test_nothing_found_is_204_and_wrong_questions_are_400(town):
    assert requests.get(f"{town}/studies?PatientID=NOBODY", timeout=10).status_code == 204
    for wrong in ("NoSuchKeyword=1", "StudyDate=yesterday", "limit=many", "StudyInstanceUID=1.2.x",
                  "RequestAttributesSequence=1", "includefield=NoSuch", "StudyDate=20240101-2024-01"):  # fmt: skip
        answer = requests.get(f"{town}/studies?{wrong}", timeout=10)
        assert answer.status_code == 400, wrong
        assert answer.headers["content-type"] == "application/problem+json"
    assert requests.get(f"{town}/studies", headers={"Accept": "text/plain"}, timeout=10).status_code == 406
    warned = requests.get(f"{town}/studies?fuzzymatching=true", timeout=10).headers["Warning"]
    assert "fuzzymatching parameter is not supported" in warned


def test_results_come_as_xml_where_that_is_asked(town):
    answer = requests.get(
        f"{town}/studies", headers={"Accept": 'multipart/related; type="application/dicom+xml"'}, timeout=10
    )
    assert answer.status_code == 200
    assert answer.text.count("<NativeDicomModel") == 4
    assert "<FamilyName>Müller</FamilyName>" in answer.content.decode()


def test_what_comes_later_is_found_at_once_and_counted(tmp_path):
    store = Store(tmp_path)
    with serve(store) as address:
        assert ask(address, "studies") == []
        for number in (1, 2):
            store.keep_dataset(make_slice(np.zeros((4, 4), np.int16), (0, 0, number), InstanceNumber=number))
            assert ask(address, "studies")[0].NumberOfStudyRelatedInstances == number
