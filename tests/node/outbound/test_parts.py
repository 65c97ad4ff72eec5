"""Multipart answers, in whatever pieces they come."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.outbound.parts import find_boundary, read_parts


def make_answer(contents, boundary="b0", header=b"Content-Type: application/dicom\r\n", preamble=b""):
    """RFC 2046 5.1.1."""
    delimiter = b"--" + boundary.encode()
    body = b"".join(delimiter + b"\r\n" + header + b"\r\n" + one + b"\r\n" for one in contents)
    return preamble + body + delimiter + b"--\r\n"


def read_all(answer, step, boundary="b0"):
    source = io.BytesIO(answer)
    return [b"".join(part) for part in read_parts(lambda _: source.read(step), boundary)]


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
    parts = read_parts(lambda _: source.read(7), "b0")
    next(parts)
    assert b"".join(next(parts)) == b"two"


@pytest.mark.parametrize("cut", [0, 1, 6, 30, 50, 70])
def test_an_answer_that_ends_too_early_is_an_error(cut):
    answer = make_answer([b"x" * 20, b"y" * 20])
    with pytest.raises(ValueError, match="too early"):
        read_all(answer[:cut], 16)


def test_an_answer_that_never_begins_is_an_error():
    with pytest.raises(ValueError, match="does not begin"):
        read_all(b"x" * 100_000, 1000)


def test_the_boundary_is_read_with_and_without_quotes():
    assert find_boundary('multipart/related; type="application/dicom"; boundary="a b=1"') == "a b=1"
    assert find_boundary("multipart/related; boundary=abc; type=application/dicom") == "abc"
    for other in ("application/dicom", "multipart/related", ""):
        with pytest.raises(ValueError, match="multipart"):
            find_boundary(other)
