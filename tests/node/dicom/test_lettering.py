"""What cannot be written is known before it is written."""

import pytest

from node.dicom.lettering import ASCII, FOLDERS, Face, Lettering, find_faces, find_lettering

BARE = Lettering(())


def test_without_a_font_only_the_built_in_letters_are_written():
    assert BARE.can_write("Yamada^Tarou 123")
    assert not BARE.can_write("山田")
    assert not BARE.can_write("é")
    assert Lettering((), built_in=ASCII | {ord("é")}).can_write("é")


def test_a_sentence_falls_back_to_plain_letters():
    assert BARE.make_writable("12 mm² près 山") == "12 mm2 pres ?"


def test_a_letter_and_its_accent_written_apart_are_one_letter():
    assert Lettering((), built_in=frozenset({ord("é")})).can_write("e\u0301")


@pytest.mark.parametrize("name", ["שלום", "محمد", "สมหญิง", "राम"])
def test_scripts_that_need_shaping_are_not_pretended_to_be_written(name):
    everything = frozenset(range(0x20, 0x10000))
    assert not Lettering((Face(FOLDERS[0], everything),)).can_write(name)


def test_text_is_cut_where_the_face_changes(tmp_path):
    latin, chinese = Face(tmp_path / "a", ASCII), Face(tmp_path / "b", frozenset(map(ord, "肺野")))
    letters = Lettering((latin, chinese))
    assert letters.cut_runs("L 肺野 R") == [(latin, "L "), (chinese, "肺野"), (latin, " R")]
    assert letters.can_write("L 肺")
    assert not letters.can_write("心")


def test_a_folder_without_fonts_and_a_broken_font_give_none(tmp_path):
    (tmp_path / "DejaVuSans.ttf").write_bytes(b"no font at all")
    assert find_faces((tmp_path,)) == ()


def test_the_first_face_has_latin_letters():
    faces = find_lettering().faces
    if not faces:
        pytest.skip("no font of node.dicom.lettering.NAMES is installed here")
    assert faces[0].characters >= ASCII
