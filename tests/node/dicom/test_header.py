"""What an instance says of itself: tolerant of damage, strict about identity."""

import random
import warnings
from pathlib import Path

import pydicom
import pytest
from highdicom.legacy import LegacyConvertedEnhancedCTImage
from pydicom import dcmread, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

from node.dicom.context import OPTIONAL, TYPE_2, copy_valid
from node.dicom.head import FIRST_READ, read_head
from node.dicom.header import DAMAGE, find_frames, find_value, read_header
from node.dicom.walk import UNDEFINED
from node.errors import CannotUnderstand, RefusedInstance
from tests.series import make_series, write_series


def save(ds, path):
    ds.save_as(path, enforce_file_format=True)
    return path


def make_legacy(slices):
    """The slices as one Legacy Converted Enhanced CT, which numbers its frames by their position."""
    return LegacyConvertedEnhancedCTImage(slices, "1.2.3.9", 9, generate_uid(), 1)


def test_a_header_has_everything_but_pixel_data(tmp_path):
    (ds, *_) = make_series()
    header = read_header(save(ds, tmp_path / "a"))
    assert "PixelData" not in header
    assert {e.keyword for e in ds} - {e.keyword for e in header} == {"PixelData"}
    assert header.file_meta.TransferSyntaxUID == ds.file_meta.TransferSyntaxUID


@pytest.mark.parametrize("content", [b"", b"\0" * 500, b"Dear colleague,\n" * 40, b"MZ" + bytes(range(256)) * 9])
def test_what_is_no_dicom_is_refused_by_name(tmp_path, content):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(CannotUnderstand, match="no DICOM dataset") as caught:
        read_header(tmp_path / "a")
    assert isinstance(caught.value, RefusedInstance)
    assert caught.value.status == 0xC000


def test_a_file_that_is_not_there_is_no_fault_of_an_instance(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "nowhere")


@pytest.mark.parametrize("keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"])
def test_a_dataset_without_its_identity_is_refused(tmp_path, keyword):
    (ds, *_) = make_series()
    setattr(ds, keyword, "")
    ds.save_as(tmp_path / "a")
    with pytest.raises(CannotUnderstand, match=keyword) as caught:
        read_header(tmp_path / "a")
    assert "Test^Pat" not in str(caught.value)


def test_a_dataset_without_preamble_and_meta_information_is_read(tmp_path):
    (ds, *_) = make_series()
    save(ds, tmp_path / "a")
    with (tmp_path / "b").open("wb") as file:
        whole = (tmp_path / "a").read_bytes()
        file.write(whole[132 + 12 + dcmread(tmp_path / "a").file_meta.FileMetaInformationGroupLength :])
    assert read_header(tmp_path / "b").SOPInstanceUID == ds.SOPInstanceUID


def test_a_value_that_cannot_be_read_is_as_good_as_absent(tmp_path):
    (ds, *_) = make_series()
    path = save(ds, tmp_path / "a")
    path.write_bytes(path.read_bytes().replace(b"-1024.0 ", b"much too"))
    (frame,) = find_frames(read_header(path))
    assert frame.get("RescaleIntercept") is None
    assert frame.get("RescaleSlope") == 1
    assert frame.get("PatientComments") is None


def test_a_multi_frame_header_keeps_its_functional_groups(tmp_path):
    slices = make_series(shape=(4, 8, 9))
    header = read_header(save(make_legacy(slices), tmp_path / "a"))
    frames = find_frames(header)
    assert [frame.number for frame in frames] == [1, 2, 3, 4]
    positions = {tuple(frame.get("ImagePositionPatient")) for frame in frames}
    assert positions == {tuple(ds.ImagePositionPatient) for ds in slices}
    assert all(frame.get("PixelSpacing") == [0.8, 0.7] for frame in frames)
    assert frames[2].get("Modality") == "CT"


def test_a_frame_speaks_for_itself_before_it_shares_and_private_groups_are_not_asked():
    def group(**values):
        ds = Dataset()
        for keyword, value in values.items():
            setattr(ds, keyword, value)
        return Sequence([ds])

    header, own, shared = Dataset(), Dataset(), Dataset()
    own.add_new(0x20051000, "LO", "MAKER")
    own.add_new(0x2005100F, "SQ", group(EffectiveEchoTime=99.0, FlipAngle=7.0))
    own.MREchoSequence = group(EffectiveEchoTime=2.5)
    shared.MREchoSequence = group(EffectiveEchoTime=80.0)
    shared.PixelMeasuresSequence = group(PixelSpacing=[1.0, 2.0])
    header.EffectiveEchoTime, header.Modality = 1.0, "MR"
    header.PerFrameFunctionalGroupsSequence = Sequence([own, Dataset()])
    header.SharedFunctionalGroupsSequence = Sequence([shared])
    first, second = find_frames(header)
    assert first.get("EffectiveEchoTime") == 2.5
    assert second.get("EffectiveEchoTime") == 80.0
    assert first.get("PixelSpacing") == [1.0, 2.0]
    assert (first.get("FlipAngle"), first.get("Modality")) == (None, "MR")
    assert find_frames(header, [2])[0].get("EffectiveEchoTime") == 80.0


def parse(path):
    return dcmread(path, stop_before_pixels=True, force=True)


def read_element(dataset, tag):
    """The element, or the kind of error that reading it raises (its words may name a place in the file)."""
    try:
        return dataset[tag]
    except (*DAMAGE, OSError) as error:
        return type(error)


def is_same(one, other):
    """Equal; or alike as text, where comparing finds NaN, which equals nothing, or what is unreadable deep within."""
    try:
        if one == other:
            return True
    except (*DAMAGE, OSError):
        pass
    return repr(one) == repr(other)


def assert_same(found, parsed):
    """Every element, in order, decoded, and all that pydicom remembers of the file."""
    assert list(found.keys()) == list(parsed.keys())
    for tag in parsed.keys():  # noqa: SIM118 - a dataset iterates over its elements
        one, other = read_element(found, tag), read_element(parsed, tag)
        assert is_same(one, other), tag
        if not isinstance(other, type):
            assert (one.VR, one.is_undefined_length) == (other.VR, other.is_undefined_length), tag


def assert_same_file(found, parsed):
    assert_same(found, parsed)
    assert_same(found.file_meta, parsed.file_meta)
    for name in ("preamble", "filename", "fileobj_type", "timestamp", "original_encoding", "original_character_set"):
        assert getattr(found, name) == getattr(parsed, name), name
    assert found.file_meta.original_encoding == parsed.file_meta.original_encoding
    # _pixel_rep comes and goes with the sequences that were asked for.
    assert set(vars(found)) - {"_pixel_rep"} == set(vars(parsed)) - {"_pixel_rep"}


def make_talkative(number=0, charset="ISO_IR 100", name="Åström^Måns"):
    """An image whose header has all that headers may have: private blocks, empty values, sequences of both kinds."""
    ds = make_series()[0]
    ds.SpecificCharacterSet, ds.PatientName = charset, name
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(number)])
    ds.InstanceNumber, ds.ImageComments = 10**number, "x" * (2 * number)
    ds.PatientComments, ds.PixelPaddingValue, ds.ImagePositionPatient = "", -2000, [0.5, 1 / 3, -1e-3 * number]
    block = ds.private_block(0x0019, "TALKATIVE", create=True)
    for offset, (vr, value) in enumerate([("LO", "a\\b"), ("OB", b"\0\1"), ("UN", b"abcd"), ("FD", 1.5), ("SH", "")]):
        block.add_new(offset, vr, value)
    inner, outer = Dataset(), Dataset()
    inner.CodeMeaning, inner.CodeValue = name, str(number)
    outer.ProcedureCodeSequence, outer.RequestedProcedureDescription = [inner, Dataset()], name
    block.add_new(0x20, "SQ", [outer])
    for n, keyword in enumerate(("RequestAttributesSequence", "SourceImageSequence", "ProcedureCodeSequence")):
        setattr(ds, keyword, [outer] if n < 2 else [])
        ds[keyword].is_undefined_length = n == 1
    return ds


def write(ds, path, syntax=ExplicitVRLittleEndian):
    ds.file_meta.TransferSyntaxUID = syntax
    dcmwrite(path, ds, implicit_vr=syntax.is_implicit_VR, little_endian=syntax.is_little_endian)
    return path


SYNTAXES = [ExplicitVRLittleEndian, ImplicitVRLittleEndian]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_a_header_that_is_read_fast_is_the_parsers_in_every_element(tmp_path, syntax):
    path = write(make_talkative(), tmp_path / "a", syntax)
    found = read_head(path)
    assert all(isinstance(element, RawDataElement) for element in found.values())
    assert_same_file(found, parse(path))


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_slices_that_differ_in_length_and_value_are_each_read_right(tmp_path, syntax):
    paths = [write(make_talkative(number % 5), tmp_path / str(number), syntax) for number in range(12)]
    for path in paths:
        assert_same_file(read_head(path), parse(path))


def test_a_series_that_changes_its_layout_midway_is_read_right(tmp_path):
    series = [make_talkative(number) for number in range(8)]
    series[2].add_new(0x00189999, "UN", b"ab")
    del series[3].PixelPaddingValue
    series[4]["ImageComments"].VR = "UT"
    series[5].SourceImageSequence[0].ProcedureCodeSequence = []
    others = [make_talkative(1, "ISO_IR 192", "山田^太郎"), make_talkative(2, ["", "ISO 2022 IR 87"], "Yamada=山田")]
    paths = [write(ds, tmp_path / str(n)) for n, ds in enumerate([*series[:6], *others, *series[6:]])]
    paths.insert(4, write(make_talkative(3), tmp_path / "implicit", ImplicitVRLittleEndian))
    for path in [*paths, *paths[::-1]]:
        assert_same_file(read_head(path), parse(path))


def test_headers_of_one_series_do_not_share_what_can_be_changed(tmp_path):
    paths = [write(make_talkative(number), tmp_path / str(number)) for number in range(4)]
    first, second = [read_head(path) for path in paths][2:]
    first.PatientID, first.RequestAttributesSequence[0].ProcedureCodeSequence[0].CodeValue = "other", "other"
    first.private_block(0x0019, "TALKATIVE").add_new(0x30, "LO", "more")
    del first.file_meta.TransferSyntaxUID
    assert_same_file(second, parse(paths[3]))
    assert_same_file(read_head(paths[2]), parse(paths[2]))


def test_what_encoders_copy_from_a_header_is_what_they_copy_from_the_parsers(tmp_path):
    for charset, name in (("ISO_IR 192", "山田^太郎"), (["", "ISO 2022 IR 87"], "Yamada=山田"), ("ISO_IR 144", "Ива́н")):
        path = write(make_talkative(1, charset, name), tmp_path / "a")
        wanted = [*TYPE_2, *OPTIONAL, "RequestAttributesSequence"]
        copied = copy_valid(read_header(path), wanted)
        assert copied.RequestAttributesSequence
        assert copied.to_json() == copy_valid(parse(path), wanted).to_json()


def test_a_header_longer_than_one_read_is_read_whole(tmp_path):
    ds = make_talkative()
    ds.private_block(0x0029, "LONG", create=True).add_new(1, "OB", bytes(range(256)) * (FIRST_READ // 100))
    ds.PixelData = b"\0" * 6
    path = write(ds, tmp_path / "a")
    assert path.stat().st_size > 2 * FIRST_READ
    assert_same_file(read_head(path), parse(path))


def test_an_object_without_pixels_is_read_to_its_end(tmp_path):
    paths = [write(make_talkative(number), tmp_path / str(number)) for number in range(3)]
    for number, path in enumerate(paths):
        ds = make_talkative(number)
        del ds.PixelData
        write(ds, path)
        assert_same_file(read_head(path), parse(path))


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian], ids=lambda s: s.keyword)
def test_other_encodings_are_left_to_the_parser(tmp_path, syntax):
    path = write(make_talkative(), tmp_path / "a", syntax)
    assert read_head(path) is None
    assert_same_file(read_header(path), parse(path))


def test_what_is_not_well_formed_is_left_to_the_parser(tmp_path):
    whole = write(make_talkative(), tmp_path / "a").read_bytes()
    manufacturer = whole.index(b"\x08\0\x70\0LO")
    twice = whole[:manufacturer] + whole[manufacturer : manufacturer + 18] * 2 + whole[manufacturer + 18 :]
    pixels = whole.rindex(b"\xe0\x7f\x10\0OW")
    damaged = {
        "twice": twice,
        "unknown VR": whole.replace(b"\x08\0\x70\0LO", b"\x08\0\x70\0ZZ"),
        "no preamble": whole[132:],
        "no syntax": whole.replace(b"\x02\0\x10\0UI", b"\x02\0\x99\0UI"),
        "too long": whole[:pixels] + b"\x88\0\1\0UT\0\0\xff\xff\xff\0",
        "no end": whole[: pixels - 3],
        "item": whole[:pixels] + b"\xfe\xff\x0d\xe0\0\0\0\0" + whole[pixels:],
        "command": whole[:pixels] + b"\0\0\0\x09UL\4\0abcd" + b"\0\0\0\1US\2\0ab" + whole[pixels:],
    }
    for name, content in damaged.items():
        (tmp_path / "b").write_bytes(content)
        assert read_head(tmp_path / "b") is None, name


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
def test_damaged_bytes_are_read_as_the_parser_reads_them_or_left_to_it(tmp_path, syntax):
    draw = random.Random(7)
    whole = write(make_talkative(), tmp_path / "a", syntax).read_bytes()
    read_head(tmp_path / "a")
    agreed = 0
    for _ in range(400):
        content = bytearray(whole[: draw.choice([len(whole), draw.randrange(1, len(whole))])])
        for _ in range(draw.randrange(3)):
            content[draw.randrange(128, len(content)) if len(content) > 128 else 0] = draw.randrange(256)
        path = tmp_path / "b"
        path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = read_head(path)
            if found is None:
                continue
            try:
                parsed = parse(path)
            except (*DAMAGE, OSError):  # lost in items that it reads at once, and we when they are asked for
                assert any(raw.length == UNDEFINED for raw in found.values())
            else:
                assert_same(found, parsed)
                agreed += 1
    assert agreed > 100


def test_equal_bytes_mean_what_their_own_header_makes_of_them(tmp_path):
    signed, unsigned = make_talkative(), make_talkative()
    for ds, is_signed in ((signed, 1), (unsigned, 0)):
        ds.PixelRepresentation = is_signed
        ds["PixelPaddingValue"].VR, ds["PixelPaddingValue"].value = "SS", -2000
    paths = [write(ds, tmp_path / str(n), ImplicitVRLittleEndian) for n, ds in enumerate((signed, unsigned))]
    assert [find_value(read_header(path), "PixelPaddingValue") for path in paths] == [-2000, 63536]
    names = ("Ä^B".encode(), "Ä^B".encode("latin-1"))
    for name, charset in zip(names, (b"ISO_IR 192", b"ISO_IR 100"), strict=True):
        ds = make_talkative(0, charset.decode(), "Ä^B")
        assert name in write(ds, tmp_path / "a").read_bytes()
        assert find_value(read_header(tmp_path / "a"), "PatientName") == "Ä^B"


def test_every_value_is_found_as_the_parser_decodes_it(tmp_path):
    path = write(make_talkative(), tmp_path / "a")
    header, parsed = read_header(path), parse(path)
    for element in parsed:
        found = find_value(header, element.tag)
        assert found == (None if element.is_empty else element.value), element.tag
        assert find_value(header, element.tag) == found


@pytest.mark.filterwarnings("ignore")
def test_the_parsers_own_files_are_read_as_it_reads_them():
    folder = Path(pydicom.__file__).parent / "data/test_files"
    headers = [(path, read_head(path)) for path in sorted(folder.rglob("*")) if path.is_file()]
    assert sum(header is not None for _, header in headers) > 50
    for path, header in headers:
        if header is not None:
            assert_same_file(header, parse(path))


@pytest.mark.filterwarnings("ignore")
def test_real_headers_are_the_parsers(real_data):
    paths = [path for path in sorted(real_data.rglob("*")) if path.suffix in (".dcm", "")][::3]
    headers = [(path, read_head(path)) for path in paths if path.is_file()]
    assert sum(header is not None for _, header in headers) > 150
    for path, header in headers:
        if header is not None:
            assert_same_file(header, parse(path))


def test_a_series_that_is_written_again_from_its_headers_keeps_its_bytes(tmp_path):
    paths = write_series([make_talkative(number) for number in range(4)], tmp_path / "series")
    for path in paths:
        for name, header in (("fast", read_head(path)), ("parsed", parse(path))):
            header.save_as(tmp_path / name)
        assert (tmp_path / "fast").read_bytes() == (tmp_path / "parsed").read_bytes()
