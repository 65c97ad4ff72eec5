"""A multipart body is read the same however it is cut, and nonsense is refused without being gathered."""

import itertools
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node.dicom.multipart import (
    LONGEST_ASIDE,
    LONGEST_HEAD,
    Malformed,
    MultipartReader,
    PartBegin,
    PartData,
    PartEnd,
    parse_media_type,
)

NASTY = st.lists(
    st.sampled_from([b"\r", b"\n", b"\r\n", b"-", b"--", b"--b", b"b", b"\r\n--", b"\r\n--a", b"\0", b"x" * 40]),
    max_size=12,
).map(b"".join)


def build(parts, boundary="bound", preamble=b"", epilogue=b"", padding=b""):
    out = preamble + (b"\r\n" if preamble else b"")
    for at, (head, body) in enumerate(parts):
        out += (b"\r\n" if at else b"") + b"--" + boundary.encode() + padding + b"\r\n"
        out += b"".join(name + b": " + value + b"\r\n" for name, value in head) + b"\r\n" + body
    return out + b"\r\n--" + boundary.encode() + b"--" + epilogue


def read(pieces, boundary="bound"):
    """[(headers, body)]; each part is closed before the next one begins."""
    reader, parts, is_open = MultipartReader(boundary), [], False
    for piece in pieces:
        for event in reader.feed(piece):
            if isinstance(event, PartBegin):
                assert not is_open
                parts.append((event.headers, bytearray()))
                is_open = True
            elif isinstance(event, PartData):
                assert is_open and event.data
                parts[-1][1].extend(event.data)
            elif isinstance(event, PartEnd):
                is_open = False
    reader.close()
    assert not is_open
    return [(head, bytes(body)) for head, body in parts]


def cut(body, places):
    marks = [0, *sorted({place % (len(body) + 1) for place in places}), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(marks)]


@settings(max_examples=300)
@given(
    bodies=st.lists(st.one_of(NASTY, st.binary(max_size=200)), min_size=1, max_size=5),
    places=st.lists(st.integers(0, 5000), max_size=30),
    padding=st.sampled_from([b"", b" ", b"\t "]),
    preamble=st.sampled_from([b"", b"this is a preamble", b"--boun"]),
    epilogue=st.sampled_from([b"", b"\r\n", b"\r\nafterwards\r\n"]),
)
def test_a_body_reads_the_same_however_it_is_cut(bodies, places, padding, preamble, epilogue):
    bodies = [body for body in bodies if b"--bound" not in body]
    head = [(b"Content-Type", b"application/dicom"), (b"X-Other", b"1")]
    whole = build([(head, body) for body in bodies] or [(head, b"")], "bound", preamble, epilogue, padding)
    expected = [({"content-type": "application/dicom", "x-other": "1"}, body) for body in bodies or [b""]]
    assert read(cut(whole, places)) == expected


@settings(max_examples=300)
@given(whole=st.binary(max_size=400), places=st.lists(st.integers(0, 400), max_size=10))
def test_what_is_no_multipart_is_malformed_and_nothing_else(whole, places):
    with pytest.raises(Malformed):
        read(cut(whole.replace(b"--bound--", b""), places))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_parts_without_header_or_body_are_parts(size):
    whole = b"--b\r\n\r\nbody\r\n--b\r\nA: 1\r\n\r\n--b\r\nA: 2\r\n\r\n\r\n--b--"
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert read(pieces, "b") == [({}, b"body"), ({"a": "1"}, b""), ({"a": "2"}, b"")]


@pytest.mark.parametrize(
    ("whole", "words"),
    [
        (b"--bound\r\n\r\nhalf", "in the middle of a part"),
        (b"--bound\r\n\r\nbody\r\n--bound", "before its last boundary"),
        (b"", "before its last boundary"),
        (b"--boundary\r\n\r\nbody\r\n--bound--", "goes on with something else"),
        (b"--bound\r\nno colon\r\n\r\nbody\r\n--bound--", "header line"),
        (b"--bound\r\nA: 1\r\n folded\r\n\r\nbody\r\n--bound--", "header line"),
        (b"--bound\r\n" + b"A: 1\r\n" * 100 + b"\r\nbody\r\n--bound--", "lines"),
        (b"--bound\r\nA: " + b"x" * LONGEST_HEAD, "header of a part"),
        (b"--bound" + b" " * 2 * LONGEST_HEAD, "does not end"),
        (b"x" * 2 * LONGEST_ASIDE, "no boundary"),
        (b"--bound--" + b"x" * 2 * LONGEST_ASIDE, "after the last boundary"),
    ],
    ids=str,
)
def test_each_fault_is_named(whole, words):
    with pytest.raises(Malformed, match=words):
        read([whole])


@pytest.mark.parametrize("boundary", ["", "x" * 201, "a\r\nb", "ends with a space ", "ä", 'quo"te'])
def test_a_boundary_that_is_none_is_refused(boundary):
    with pytest.raises(Malformed, match="boundary"):
        MultipartReader(boundary)


def test_a_part_of_64_mb_takes_the_memory_of_some_pieces():
    reader = MultipartReader("bound")
    list(reader.feed(b"--bound\r\nContent-Type: application/dicom\r\n\r\n"))
    piece = bytes(1 << 16)
    tracemalloc.start()
    taken = sum(len(event.data) for _ in range(1024) for event in reader.feed(piece) if isinstance(event, PartData))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert taken >= (64 << 20) - 16
    assert peak < 1 << 20


def test_a_content_type_is_taken_apart():
    found = parse_media_type('Multipart/Related; Type="application/dicom"; BOUNDARY="a b; c"')
    assert found.name == "multipart/related"
    assert found.parameters == {"type": "application/dicom", "boundary": "a b; c"}
    assert parse_media_type("").name == parse_media_type("nonsense").name == ""
