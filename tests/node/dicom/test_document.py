"""Pages that say whose result it is, what was found with every number, and what it is not for."""

import re
import shutil
import subprocess
import zlib

import numpy as np
import pydicom
import pytest

from node.dicom.document import encode_document
from node.dicom.lettering import Face, Lettering, find_lettering
from node.dicom.page import LATIN_1
from node.dicom.write import write_dicom
from node.errors import EncodingError
from pipelines.terms import Finding, Result, Volume
from tests.judges import dciodvfy_errors
from tests.results import (
    CORPUS,
    LUNG,
    NODULE,
    RIGHT,
    make_author,
    make_empty_result,
    make_finding,
    make_result,
    make_stack,
)
from tests.series import make_series

HELVETICA = Lettering((), LATIN_1)
"""No font of the machine's: what is written stands as text in the page's own stream."""


def encode(stack, result, author=None, lettering=HELVETICA, **more):
    voxels = np.zeros(stack.shape, np.float32)
    volume = Volume(voxels, stack.affine, stack.frame_of_reference_uid, stack.modality)
    return encode_document(stack, volume, result, author or make_author(), lettering=lettering, **more)


def read_words(ds):
    """All that is written on the pages, line breaks aside, from the streams of a PDF written with Helvetica."""
    words = []
    for stream in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", bytes(ds.EncapsulatedDocument), re.DOTALL):
        try:
            page = zlib.decompress(stream)
        except zlib.error:
            continue
        words += re.findall(rb"\(((?:[^()\\]|\\.)*)\) Tj", page)
    return " ".join(re.sub(rb"\\(.)", rb"\1", word).decode("latin-1") for word in words)


def make_patient(name, patient_id="P-1", **more):
    return make_stack(make_series(SpecificCharacterSet="ISO_IR 192", PatientName=name, PatientID=patient_id, **more))


@pytest.mark.judge
@pytest.mark.parametrize("name", ["plain", "MR", "enhanced"])
def test_dciodvfy_finds_no_error(name, tmp_path):
    stack = CORPUS[name]()
    write_dicom(encode(stack, make_result(stack.shape, 2)), tmp_path / "doc.dcm")
    assert dciodvfy_errors(tmp_path / "doc.dcm") == []


def test_every_number_stands_on_it_with_its_unit():
    stack = CORPUS["plain"]()
    words = read_words(encode(stack, make_result(stack.shape, 2)))
    for text in ("nodule-1", "nodule-2", "Right Lung", "Volume", "1 mL", "2 mL", "-321.5 HU", "(Mean)"):
        assert text in words, text


def test_it_says_who_made_it_and_what_it_is_not_for():
    stack, author = CORPUS["plain"](), make_author()
    words = read_words(encode(stack, make_result(stack.shape), author, notes=["Two planes were not read"]))
    for text in (
        "Lung nodules",
        "not reviewed by a person",
        "lung-nodule 1.2.0",
        "Testmaker Models",
        author.device_uid,
        "Marks lung nodules for a reader",
        "primary diagnosis",
        "Warning: The lungs are cut at the top",
        "Two planes were not read",
        "5, oblique, 1.5 mm apart",
        "made for a test",
    ):
        assert text in words, text


def test_nothing_found_is_said():
    words = read_words(encode(CORPUS["plain"](), make_empty_result()))
    assert "Nodule, Lung" in words
    assert "looked for and not found" in words


def test_a_finding_without_a_number_is_still_in_the_table():
    stack = CORPUS["plain"]()
    bare = Finding("x", NODULE, site=LUNG, laterality=RIGHT)
    assert "Nodule, Right Lung Right Lung found" in read_words(encode(stack, Result((), (bare,))))


def test_the_patient_is_named_as_in_the_source():
    stack = make_patient("Müller^Jürgen", "Z-9", PatientBirthDate="19701231", AccessionNumber="ACC-5")
    ds = encode(stack, make_result(stack.shape))
    words = read_words(ds)
    for text in ("Müller Jürgen", "Z-9", "1970-12-31", "2024-01-02", "ACC-5"):
        assert text in words, text
    assert (str(ds.PatientName), ds.PatientID, ds.StudyInstanceUID) == ("Müller^Jürgen", "Z-9", stack.study_uid)
    assert "Müller" not in ds.DocumentTitle + ds.SeriesDescription


def test_of_a_name_in_several_scripts_those_without_a_font_are_left_out_and_said_to_be():
    words = read_words(encode(make_patient("Yamada^Tarou=山田^太郎"), make_empty_result()))
    assert "Yamada Tarou (also written in characters that this node has no font for)" in words
    assert "?" not in words


@pytest.mark.parametrize("name", ["Пушкин^Александр", "김^희중", "محمد^علي"])
def test_a_name_without_a_font_is_left_out_and_never_garbled(name):
    words = read_words(encode(make_patient(name, "ID-77"), make_empty_result()))
    assert "not printed: this node has no font for its characters" in words
    assert "ID-77" in words
    assert "?" not in words


@pytest.mark.judge
@pytest.mark.parametrize(
    "name",
    [
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
        "Hong^Gildong=洪^吉洞=홍^길동",
        "Пушкин^Александр",
        "王^小东",
        "Łoś^Żaneta",
    ],
)
def test_poppler_reads_the_name_in_its_own_script(name, tmp_path):
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (Debian package poppler-utils)")
    lettering = find_lettering(LATIN_1)
    if not lettering.can_write(name):
        pytest.skip("no font here has these characters (see node.dicom.lettering.NAMES)")
    ds = encode(make_patient(name), make_result((5, 16, 18)), lettering=lettering)
    (tmp_path / "page.pdf").write_bytes(ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength])
    done = subprocess.run(["pdftotext", tmp_path / "page.pdf", "-"], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    for group in name.split("="):
        assert group.replace("^", " ") in done.stdout
    assert "-321.5" in done.stdout


def test_a_face_that_lends_a_letter_is_embedded_and_others_are_not():
    lettering = find_lettering(LATIN_1)
    if len(lettering.faces) < 2:
        pytest.skip("fewer than two fonts of node.dicom.lettering.NAMES are installed here")
    unused = Lettering((lettering.faces[0], Face(lettering.faces[1].path, frozenset())), LATIN_1)
    ds = encode(CORPUS["plain"](), make_empty_result(), lettering=unused)
    assert len(set(re.findall(rb"/BaseFont /(\S+)", ds.EncapsulatedDocument))) == 1


def test_the_document_is_whole_even_and_says_its_length():
    ds = encode(CORPUS["plain"](), make_empty_result())
    assert len(ds.EncapsulatedDocument) % 2 == 0
    assert len(ds.EncapsulatedDocument) - ds.EncapsulatedDocumentLength in (0, 1)
    whole = bytes(ds.EncapsulatedDocument[: ds.EncapsulatedDocumentLength])
    assert whole.startswith(b"%PDF-")
    assert whole.rstrip().endswith(b"%%EOF")
    assert ds.MIMETypeOfEncapsulatedDocument == "application/pdf"
    assert ds.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert (ds.Modality, ds.SeriesNumber, ds.VerificationFlag) == ("DOC", 7009, "UNVERIFIED")
    assert ds.BurnedInAnnotation == "YES"


def test_every_source_is_referred_to_once():
    stack = CORPUS["plain"]()
    ds = encode(stack, make_empty_result())
    assert [item.ReferencedSOPInstanceUID for item in ds.SourceInstanceSequence] == [
        header.SOPInstanceUID for header in stack.headers
    ]


@pytest.mark.parametrize("lettering", [HELVETICA, None], ids=["Helvetica", "fonts of the machine"])
def test_the_same_call_makes_the_same_bytes(lettering, tmp_path):
    slices = make_series()
    made = []
    for n in range(2):
        stack = make_stack(slices)
        write_dicom(encode(stack, make_result(stack.shape), lettering=lettering), tmp_path / f"{n}.dcm")
        made.append((tmp_path / f"{n}.dcm").read_bytes())
    assert made[0] == made[1]
    assert pydicom.dcmread(tmp_path / "0.dcm").EncapsulatedDocumentLength > 1000


def test_many_findings_go_on_over_pages():
    stack = CORPUS["plain"]()
    result = make_result(stack.shape, 1)
    findings = tuple(make_finding("nodule-1", 1.0 + n) for n in range(60))
    words = read_words(encode(stack, Result(result.segments, findings)))
    assert "60 mL" in words
    assert "page 3" in words


def test_a_mask_on_another_grid_is_refused():
    with pytest.raises(EncodingError, match="'nodule-1'"):
        encode(CORPUS["plain"](), make_result((4, 16, 18)))
