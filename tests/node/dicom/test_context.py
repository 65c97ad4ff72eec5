"""Patient and study are the source's, whatever its character set and whatever it lacks; the rest is ours alone."""

import copy
from datetime import UTC, datetime, timedelta, timezone

import pydicom
import pytest
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from node.dicom.context import copy_requests, copy_valid, local_time, new_object
from node.dicom.output_gate import check_objects
from node.dicom.report import encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from tests.judges import dciodvfy_errors, dsrdump
from tests.results import make_author, make_result, make_stack
from tests.series import make_series

NAMES = {
    "Latin-1": ("ISO_IR 100", "Grüße^Jörg"),
    "Latin-2": ("ISO_IR 101", "Łukasiewicz^Żaneta"),
    "Cyrillic": ("ISO_IR 144", "Люкceмбypг^Иван"),
    "Arabic": ("ISO_IR 127", "قباني^لنزار"),
    "Greek": ("ISO_IR 126", "Διονυσιος"),
    "Hebrew": ("ISO_IR 138", "שרון^דבורה"),
    "Latin-5": ("ISO_IR 148", "Çavuşoğlu^Işıl"),
    "Thai": ("ISO_IR 166", "สมชาย"),
    "Japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "Japanese with katakana": (["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう"),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "Chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "UTF-8": ("ISO_IR 192", "Wang^XiaoDong=王^小東"),
}


def from_disk(slices, folder, undeclare=False):
    """The headers as a peer sends them: encoded in their own character set, not yet decoded."""
    headers = []
    for n, ds in enumerate(slices):
        path = folder / f"{n}.dcm"
        ds.save_as(path, enforce_file_format=True)
        header = pydicom.dcmread(path, stop_before_pixels=True)
        if undeclare:
            del header.SpecificCharacterSet
        headers.append(header)
    return headers


def encode_both(headers):
    stack = make_stack(headers)
    result = make_result(stack.shape)
    segmentation = encode_segmentation(stack, result, make_author())
    return segmentation, encode_report(stack, result, make_author(), segmentation)


def judge(objects, headers, folder):
    """Own gate, dciodvfy and dcmtk have nothing to say; gives back the objects as read from disk."""
    check_objects(objects, headers)
    found = []
    for ds in objects:
        path = folder / f"{ds.Modality}.dcm"
        write_dicom(ds, path)
        assert dciodvfy_errors(path) == []
        found.append(pydicom.dcmread(path))
    dsrdump(folder / "SR.dcm")
    return found


@pytest.mark.judge
@pytest.mark.parametrize("language", NAMES)
def test_a_name_in_any_character_set_arrives_in_utf_8(language, tmp_path):
    character_set, name = NAMES[language]
    slices = make_series((3, 8, 8), SpecificCharacterSet=character_set, PatientName=name, StudyDescription="x")
    headers = from_disk(slices, tmp_path)
    for ds in judge(encode_both(headers), headers, tmp_path):
        assert ds.SpecificCharacterSet == "ISO_IR 192"
        assert str(ds.PatientName) == name


@pytest.mark.judge
@pytest.mark.parametrize("character_set", ["ISO_IR 100", "ISO_IR 192"])
def test_a_name_without_a_declared_character_set_is_read_as_what_its_bytes_are(character_set, tmp_path):
    slices = make_series((3, 8, 8), SpecificCharacterSet=character_set, PatientName="Grüße^Jörg")
    headers = from_disk(slices, tmp_path, undeclare=True)
    for ds in judge(encode_both(headers), headers, tmp_path):
        assert str(ds.PatientName) == "Grüße^Jörg"


@pytest.mark.judge
@pytest.mark.parametrize(
    "keyword",
    [
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber",
        "StudyID", "ReferringPhysicianName", "SliceThickness", "PositionReferenceIndicator", "SeriesNumber",
        "Manufacturer", "SpecificCharacterSet", "SeriesDate",
    ],
)  # fmt: skip
def test_an_absent_attribute_of_the_source_is_no_obstacle(keyword, tmp_path):
    headers = make_series((3, 8, 8), **{keyword: None})
    judge(encode_both(headers), headers, tmp_path)


def item(**attributes):
    ds = Dataset()
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def messy_series():
    """What scanners and gateways write: some of it invalid, some half empty."""
    code = item(CodeValue="X", CodingSchemeDesignator="99L", CodeMeaning="Chest CT")
    return make_series(
        (3, 8, 8),
        PatientSex="M ",
        PatientBirthDate="1970.01.31",
        StudyTime="10:11:12",
        PatientAge="54",
        PatientWeight="",
        IssuerOfPatientID="HOSPITAL",
        TimezoneOffsetFromUTC="+0900",
        StudyDescription="d" * 70,
        ProcedureCodeSequence=[code, item(CodeValue="Y")],
        RequestAttributesSequence=[
            item(RequestedProcedureID="RP1", ScheduledProcedureStepID="", RequestedProcedureDescription="Thorax")
        ],
        ClinicalTrialSponsorName="Sponsor",
        ClinicalTrialProtocolID="",
        BodyPartExamined="CHEST",
    )


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore:.*VR")
def test_what_is_not_valid_is_left_out_and_the_rest_arrives(tmp_path):
    headers = messy_series()
    segmentation, report = judge(encode_both(headers), headers, tmp_path)
    for ds in (segmentation, report):
        assert (ds.PatientSex, ds.PatientBirthDate, ds.StudyTime) == ("M", "19700131", "101112")
        assert ds.IssuerOfPatientID == "HOSPITAL"
        assert not {"PatientAge", "StudyDescription", "ClinicalTrialSponsorName"} & set(ds.dir())
        assert [code.CodeMeaning for code in ds.ProcedureCodeSequence] == ["Chest CT"]
        assert (ds.TimezoneOffsetFromUTC, ds.ContentDate, ds.ContentTime) == ("+0900", "20240102", "130506")
    assert segmentation.BodyPartExamined == "CHEST"
    assert segmentation.RequestAttributesSequence[0].RequestedProcedureID == "RP1"
    assert "ScheduledProcedureStepID" not in segmentation.RequestAttributesSequence[0]
    (request,) = report.ReferencedRequestSequence
    assert (request.RequestedProcedureID, request.RequestedProcedureDescription) == ("RP1", "Thorax")
    assert (request.AccessionNumber, request.StudyInstanceUID) == ("A-1", "1.2.3.1")


@pytest.mark.filterwarnings("ignore:.*VR")
def test_identity_is_copied_even_where_its_form_is_not_valid():
    source = make_series((3, 8, 8), AccessionNumber="A" * 20, PatientID="P" * 70)[0]
    ds = new_object(source, make_author(), SegmentationStorage, "SEG", "segmentation", 1, "title")
    assert (ds.AccessionNumber, ds.PatientID) == ("A" * 20, "P" * 70)


@pytest.mark.filterwarnings("ignore:.*VR")
def test_the_source_stays_as_it_is():
    headers = messy_series()
    before = copy.deepcopy(headers)
    encode_both(headers)
    assert headers == before


def test_every_time_of_an_object_is_when_its_job_was_made():
    ds = new_object(make_series()[0], make_author(), SegmentationStorage, "SEG", "segmentation", 1, "t" * 80)
    for event in ("Series", "Content", "InstanceCreation"):
        assert (ds[f"{event}Date"].value, ds[f"{event}Time"].value) == ("20240102", "040506")
    assert ds.ContributingEquipmentSequence[1].ContributionDateTime == "20240102040506+0000"
    assert len(ds.SeriesDescription) == 64


@pytest.mark.filterwarnings("ignore:.*VR")
@pytest.mark.parametrize("declared", ["+25000", "Z", "", "0900"])
def test_a_time_zone_that_is_none_is_not_believed(declared):
    created = datetime(2024, 1, 2, 4, 5, 6, tzinfo=UTC)
    source = make_series(TimezoneOffsetFromUTC=declared)[0]
    assert local_time(source, created).utcoffset() == timedelta(0)
    assert "TimezoneOffsetFromUTC" not in copy_valid(source, ["TimezoneOffsetFromUTC"])


def test_a_western_half_hour_zone_is_understood():
    created = datetime(2024, 1, 2, 4, 5, 6, tzinfo=UTC)
    assert local_time(make_series(TimezoneOffsetFromUTC="-0330")[0], created) == created
    assert local_time(make_series(TimezoneOffsetFromUTC="-0330")[0], created).tzinfo == timezone(-timedelta(hours=3.5))


def test_a_complete_clinical_trial_is_taken_over_with_what_it_demands():
    trial = {"ClinicalTrialSponsorName": "S", "ClinicalTrialProtocolID": "P", "ClinicalTrialSubjectID": "1"}
    ds = new_object(make_series(**trial)[0], make_author(), SegmentationStorage, "SEG", "segmentation", 1, "t")
    assert (ds.ClinicalTrialSubjectID, ds.ClinicalTrialSiteID) == ("1", "")


def test_no_request_is_no_request():
    assert copy_requests(make_series()[0], None) == []
