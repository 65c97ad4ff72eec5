"""Names, descriptions and code meanings in any language come into the report as they were, in UTF-8."""

import pydicom
import pytest
from pydicom import Dataset
from pydicom.charset import convert_encodings
from pydicom.valuerep import PersonName

from node.dicom.output_gate import check_objects
from node.dicom.read_report import find_refusal_reason, read_findings, read_notes
from node.dicom.report import encode_refusal, encode_report
from node.dicom.segmentation import encode_segmentation
from node.dicom.write import write_dicom
from pipelines.terms import Code, Finding, Note, Result
from tests.judges import dciodvfy_errors, dsrdump
from tests.results import NODULE, make_author, make_result, make_stack
from tests.series import make_series

LANGUAGES = {
    "Latin-1": ("ISO_IR 100", "Grüße^Jörg", "Thorax-CT für Übersicht", "Müller^Käthe"),
    "Latin-2": ("ISO_IR 101", "Łukasiewicz^Żaneta", "Tomografia płuc", "Wałęsa^Ędmund"),
    "Cyrillic": ("ISO_IR 144", "Иванов^Пётр", "КТ грудной клетки", "Жуков^Юрий"),
    "Greek": ("ISO_IR 126", "Παπαδόπουλος^Γιώργος", "Αξονική θώρακος", "Νίκου^Άννα"),
    "Japanese": (
        ["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "胸部ＣＴ検査", "Suzuki=鈴木=すずき",
    ),
    "Japanese with katakana": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう", "胸部造影", "ｽｽﾞｷ=鈴木=すずき",
    ),
    "Korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "흉부 단층촬영", "Kim^Minsu=金^民秀=김^민수"),
    "Chinese, simplified": (["", "ISO 2022 IR 58"], "Zhang^XiaoDong=张^小东", "胸部平扫", "Wang^Fang=王^芳"),
    "Chinese, GB18030": ("GB18030", "Wang^XiaoDong=王^小东", "胸部增强扫描", "Li^Na=李^娜"),
    "UTF-8": ("ISO_IR 192", "Wang^XiaoDong=王^小東", "胸部 CT плюс ελ", "Li^Na=李^娜"),
}  # fmt: skip
"""Language -> character set; patient; description and code meaning; a further physician."""


def code(meaning):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "RP-7", "99HOSPITAL", meaning
    return item


def request(description, character_set):
    item = Dataset()
    item.RequestedProcedureID, item.RequestedProcedureDescription = "7", description
    item.RequestedProcedureCodeSequence = [code(description)]
    item.ReasonForTheRequestedProcedure = description
    return item


def from_disk(slices, folder):
    """The headers as a peer sends them: in their own character set, not yet decoded."""
    headers = []
    for n, ds in enumerate(slices):
        ds.save_as(folder / f"{n}.dcm", enforce_file_format=True)
        headers.append(pydicom.dcmread(folder / f"{n}.dcm", stop_before_pixels=True))
    return headers


def send(report, folder):
    """`report` on disk, without a complaint of the judges; and as it is read there."""
    path = folder / "sr.dcm"
    write_dicom(report, path)
    assert dciodvfy_errors(path) == []
    dsrdump(path)
    return path.read_bytes(), pydicom.dcmread(path)


@pytest.mark.judge
@pytest.mark.parametrize("language", LANGUAGES)
def test_what_the_source_says_in_its_character_set_the_report_says_in_utf_8(language, tmp_path):
    character_set, patient, description, physician = LANGUAGES[language]
    slices = make_series(
        (3, 8, 8),
        SpecificCharacterSet=character_set,
        PatientName=patient,
        PhysiciansOfRecord=[physician, patient],
        StudyDescription=description,
        RequestAttributesSequence=[request(description, character_set)],
        ProcedureCodeSequence=[code(description)],
    )
    headers = from_disk(slices, tmp_path)
    stack, author = make_stack(headers), make_author()
    result = make_result(stack.shape)
    segmentation = encode_segmentation(stack, result, author)
    report = encode_report(stack, result, author, segmentation)
    check_objects([segmentation, report], headers)
    held, read = send(report, tmp_path)
    assert read.SpecificCharacterSet == "ISO_IR 192"
    assert str(read.PatientName) == patient and patient.encode("utf-8") in held
    assert [str(name) for name in read.PhysiciansOfRecord] == [physician, patient]
    assert read.StudyDescription == description and description.encode("utf-8") in held
    (requested,) = read.ReferencedRequestSequence
    assert requested.RequestedProcedureDescription == description
    assert requested.RequestedProcedureCodeSequence[0].CodeMeaning == description
    assert read.ProcedureCodeSequence[0].CodeMeaning == description
    assert b"\x1b" not in held, "no escape sequence is left"


RAW = {
    "PS3.5 H.3.1, Japanese": (
        ["", "ISO 2022 IR 87"],
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        ("Yamada^Tarou", "山田^太郎", "やまだ^たろう"),
    ),
    "PS3.5 H.3.2, Japanese": (
        ["ISO 2022 IR 13", "ISO 2022 IR 87"],
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        ("ﾔﾏﾀﾞ^ﾀﾛｳ", "山田^太郎", "やまだ^たろう"),
    ),
    "PS3.5 I.2, Korean": (
        ["", "ISO 2022 IR 149"],
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        ("Hong^Gildong", "洪^吉洞", "홍^길동"),
    ),
    "PS3.5 K.2, Chinese": (
        ["", "ISO 2022 IR 58"],
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        ("Zhang^XiaoDong", "张^小东", ""),
    ),
    "PS3.5 J.2, GB18030": (
        "GB18030",
        b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=",
        ("Wang^XiaoDong", "王^小东", ""),
    ),
}


@pytest.mark.parametrize("example", RAW)
def test_the_three_groups_of_a_name_are_kept_from_the_bytes_that_the_standard_prints(example, tmp_path):
    character_set, raw, groups = RAW[example]
    slices = make_series((3, 8, 8), SpecificCharacterSet=character_set)
    for ds in slices:
        ds.PatientName = PersonName(raw, convert_encodings(character_set))
    headers = from_disk(slices, tmp_path)
    assert raw in (tmp_path / "0.dcm").read_bytes(), "the source holds them as they are printed"
    report = encode_report(make_stack(headers), make_result((3, 8, 8)), make_author(), None)
    write_dicom(report, tmp_path / "sr.dcm")
    name = pydicom.dcmread(tmp_path / "sr.dcm").PatientName
    assert (name.alphabetic, name.ideographic, name.phonetic) == groups
    check_objects([report], headers)


@pytest.mark.judge
def test_codes_notes_and_reasons_may_be_in_any_language(tmp_path):
    stack = make_stack(make_series((3, 8, 8)))
    nodule = Code("N-1", "99HOSPITAL", "結節")
    result = Result((), (Finding("結節", nodule, absent=True),), (Note("Тонкие срезы: 폐가 잘렸습니다"),))
    author = make_author(title="肺結節", procedure=Code("25045-6", "LN", "КТ: область не указана"))
    _, read = send(encode_report(stack, result, author, None), tmp_path)
    assert read_findings(read)[0]["finding"] == nodule
    assert read_notes(read)[1] == "Warning: Тонкие срезы: 폐가 잘렸습니다"
    assert read.SeriesDescription == "AI, not reviewed: 肺結節"
    assert "КТ: область не указана" in [
        item.ConceptCodeSequence[0].CodeMeaning for item in read.ContentSequence if item.ValueType == "CODE"
    ]
    reason = Code("GAP", "99HOSPITAL", "断層が欠けています")
    refusal = encode_refusal(stack.headers, author, "MissingSlices", "断層が一枚欠けています", reason=reason)
    _, read = send(refusal, tmp_path)
    assert find_refusal_reason(read) == reason
    assert "断層が一枚欠けています" in read_notes(read)[0]


def test_a_source_that_declares_nothing_but_is_utf_8_is_read_as_that(tmp_path):
    slices = make_series((3, 8, 8), SpecificCharacterSet="ISO_IR 192", PatientName="Wang=王", StudyDescription="胸部")
    headers = from_disk(slices, tmp_path)
    for header in headers:
        del header.SpecificCharacterSet
    report = encode_report(make_stack(headers), Result((), (Finding("n", NODULE, absent=True),)), make_author(), None)
    write_dicom(report, tmp_path / "sr.dcm")
    read = pydicom.dcmread(tmp_path / "sr.dcm")
    assert (str(read.PatientName), read.StudyDescription) == ("Wang=王", "胸部")
