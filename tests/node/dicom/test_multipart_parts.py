"""Multipart answers, in whatever pieces they come."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.dicom.multipart import Malformed, parse_media_type, read_parts


def make_answer(contents, boundary="b0", header=b"Content-Type: application/dicom\r\n", preamble=b""):
    """RFC 2046 5.1.1."""
    delimiter = b"--" + boundary.encode()
    body = b"".join(delimiter + b"\r\n" + header + b"\r\n" + one + b"\r\n" for one in contents)
    return preamble + body + delimiter + b"--\r\n"


def read_all(answer, step, boundary="b0"):
    source = io.BytesIO(answer)
    return [b"".join(part) for part in read_parts(iter(lambda: source.read(step), b""), boundary)]


@given(
    st.lists(
        st.lists(st.sampled_from([b"\r\n", b"--b", b"--b0x", b"0", b"\0\xff", b"-", b"\r"]), max_size=8), max_size=4
    ),
    st.integers(1, 40),
)
def test_parts_come_out_as_they_went_in_however_the_bytes_arrive(pieces, step):
    contents = [b"".join(one) for one in pieces]
    contents = [one for one in contents if b"\r\n--b0" not in b"\r\n" + one]
    assert read_all(make_answer(contents), step) == contents
    assert read_all(make_answer(contents, header=b""), step) == contents


def test_a_preamble_is_passed_over():
    assert read_all(make_answer([b"one", b"two"], preamble=b"hello\r\n"), 3) == [b"one", b"two"]


def test_a_part_that_nobody_reads_is_passed_over():
    source = io.BytesIO(make_answer([b"x" * 1000, b"two"]))
    parts = read_parts(iter(lambda: source.read(7), b""), "b0")
    next(parts)
    assert b"".join(next(parts)) == b"two"


@pytest.mark.parametrize("cut", [0, 1, 6, 30, 50, 70])
def test_an_answer_that_ends_too_early_is_an_error(cut):
    answer = make_answer([b"x" * 20, b"y" * 20])
    with pytest.raises(Malformed, match="the body ends"):
        read_all(answer[:cut], 16)


def test_an_answer_that_never_begins_is_an_error():
    with pytest.raises(Malformed, match="no boundary"):
        read_all(b"x" * 100_000, 1000)


def test_the_boundary_is_read_with_and_without_quotes():
    for text, boundary in (
        ('multipart/related; type="application/dicom"; boundary="a b=1"', "a b=1"),
        ("multipart/related; boundary=abc; type=application/dicom", "abc"),
    ):
        kind = parse_media_type(text)
        assert (kind.name, kind.parameters["boundary"]) == ("multipart/related", boundary)
    for other in ("application/dicom", "multipart/related", ""):
        assert "boundary" not in parse_media_type(other).parameters
