"""The quick way to an instance's identity agrees with the parser, or says that it does not know."""

import io
import random

import pytest
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from node.dicom.identity import KEYWORDS, TAGS, find_identity
from node.dicom.walk import find_values
from node.errors import CannotUnderstand
from tests.series import make_series


def encode(dataset, *, explicit):
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, not explicit
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def make_deep_dataset():
    """Sequences of undefined length, nested, before and between the uids, that hold uids of others."""
    image = make_series((1, 4, 4))[0]
    inner, outer = Dataset(), Dataset()
    inner.StudyInstanceUID, inner.SeriesInstanceUID, inner.SOPInstanceUID = "9.9.1", "9.9.2", "9.9.3"
    inner.is_undefined_length_sequence_item = True
    outer.ReferencedSeriesSequence = [inner]
    outer["ReferencedSeriesSequence"].is_undefined_length = True
    outer.is_undefined_length_sequence_item = True
    for keyword in (
        "ProcedureCodeSequence",
        "ReferencedStudySequence",
        "StudiesContainingOtherReferencedInstancesSequence",
    ):
        setattr(image, keyword, [outer, inner])
        image[keyword].is_undefined_length = True
    return image


@pytest.mark.parametrize("explicit", [True, False])
def test_the_walk_finds_what_the_parser_finds(explicit):
    image = make_deep_dataset()
    found = find_values(encode(image, explicit=explicit), TAGS, explicit=explicit)
    assert {tag: value.rstrip(b"\0").decode() for tag, value in found.items()} == {
        tag: str(image[keyword].value) for keyword, tag in KEYWORDS.items()
    }


@pytest.mark.parametrize("explicit", [True, False])
def test_a_beginning_that_ends_too_early_is_not_guessed(explicit):
    whole = encode(make_deep_dataset(), explicit=explicit)
    end = whole.index(make_deep_dataset().SeriesInstanceUID.encode()) + 3
    assert find_values(whole[:end], TAGS, explicit=explicit) is None


def test_damaged_bytes_are_never_another_instance():
    """Whatever happens to the bytes, the walk says what the parser says, or nothing."""
    image = make_series((1, 4, 4))[0]
    whole = encode(image, explicit=True)
    draw = random.Random(0)
    agreed = 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            damaged[draw.randrange(len(damaged))] = draw.choice([0, 255, draw.randrange(256)])
        try:
            quick = find_identity(damaged, ExplicitVRLittleEndian)
        except CannotUnderstand:
            continue
        if quick is None:
            continue
        try:
            parsed = dcmread(io.BytesIO(damaged), force=True, stop_before_pixels=True)
            slow = [str(parsed[keyword].value) for keyword in KEYWORDS]
        except Exception:
            continue
        assert [quick.sop_class_uid, quick.sop_instance_uid, quick.study_uid, quick.series_uid] == slow
        agreed += 1
    assert agreed > 100


def test_explicit_bytes_under_an_implicit_name_are_left_to_the_parser():
    whole = encode(make_series((1, 4, 4))[0], explicit=True)
    assert find_identity(whole, ImplicitVRLittleEndian) is None
