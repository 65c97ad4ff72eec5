"""Frames and bulk data of an instance as a client wants them (PS3.18 10.4.1.1.6, 10.4.1.1.5, 8.7.3.3)."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydicom import DataElement, Dataset, dcmread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from node.dicom.header import DAMAGE, find_value, is_damage
from node.web.dicomweb.media import MULTIPART, OCTETS, Accepted, not_acceptable, read_accept
from node.web.dicomweb.parts import Part, answer_parts, send_pieces
from node.web.dicomweb.pixel_source import ELEMENTS, PixelSource, open_pixels
from node.web.dicomweb.problem import Problem
from node.web.dicomweb.transcode import can_decode

EXPLICIT = "1.2.840.10008.1.2.1"
_FAMILY = "1.2.840.10008.1.2."
KINDS = {
    **dict.fromkeys((f"{_FAMILY}4.{n}" for n in (50, 51, 57, 70)), "image/jpeg"),
    **dict.fromkeys((f"{_FAMILY}4.{n}" for n in (80, 81)), "image/jls"),
    **dict.fromkeys((f"{_FAMILY}4.{n}" for n in (90, 91)), "image/jp2"),
    **dict.fromkeys((f"{_FAMILY}4.{n}" for n in (92, 93)), "image/jpx"),
    **dict.fromkeys((f"{_FAMILY}4.{n}" for n in (201, 202, 203)), "image/jphc"),
    **dict.fromkeys((f"{_FAMILY}4.{n}" for n in (110, 111, 112)), "image/jxl"),
    **dict.fromkeys((f"{_FAMILY}4.{n}" for n in (100, 101)), "video/mpeg"),
    **dict.fromkeys((f"{_FAMILY}4.{n}" for n in range(102, 109)), "video/mp4"),
    f"{_FAMILY}5": "image/dicom-rle",
}
"""Transfer syntax -> media type of a frame (PS3.18 tables 8.7.3-3 to 8.7.3-5)."""

Form = tuple[str, str, bool, Callable[[int], bytes]]
"""Media type, transfer syntax, multipart, what gives a frame so."""


def answer_frames(request: Request, path: Path, numbers: Sequence[int] | None = None) -> Response:
    """The frames `numbers` (from 1), all where none are named. One frame comes without parts where that is asked."""
    source = open_pixels(path)
    chosen = range(1, source.count + 1) if numbers is None else numbers
    kind, syntax, multipart, read = _choose_form(source, read_accept(request), single=len(chosen) == 1)
    for number in chosen:
        if number > source.count:
            raise Problem(404, f"instance {source.header.SOPInstanceUID} has {source.count} frames, not {number}")
    said = f"{kind}; transfer-syntax={syntax}"
    first = read(chosen[0])
    if not multipart:
        return Response(first, media_type=kind, headers={"Content-Type": said})
    if len(chosen) == 1:
        return answer_parts(kind, [Part(said, [first], len(first))])
    return answer_parts(kind, (_make_part(said, read, number) for number in chosen))


def answer_bulk(request: Request, path: Path, place: str) -> Response:
    """The value of the element at `place`: a tag, or tags and item numbers (from 1) of sequences in turn, as metadata
    refer to it."""
    steps = place.split("/")
    if len(steps) == 1 and steps[0].upper() in {f"{tag:08X}" for tag in ELEMENTS}:
        return answer_pixels(request, path)
    value = _find_value(_read_whole(path), steps)
    accepted = read_accept(request)
    for one in accepted:
        if one.takes(OCTETS) and one.syntax in ("", "*", EXPLICIT):
            if one.multipart:
                return answer_parts(OCTETS, [Part(OCTETS, [value], len(value))])
            return Response(value, media_type=OCTETS)
    raise not_acceptable([OCTETS, f"{MULTIPART}; type={OCTETS}"])


def answer_pixels(request: Request, path: Path) -> Response:
    """Pixel data as one value where it is not encapsulated, else as its frames."""
    source = open_pixels(path)
    plain = [one for one in read_accept(request) if one.takes(OCTETS) and one.syntax in ("", "*", EXPLICIT)]
    if source.is_encapsulated or not plain:
        return answer_frames(request, path)
    body: Iterator[bytes] = (source.read_plain(number) for number in range(1, source.count + 1))
    if find_value(source.header, "BitsAllocated") == 1:
        body = iter([bytes(_read_whole(path).PixelData)])
    if plain[0].multipart:
        return answer_parts(OCTETS, iter([Part(OCTETS, body)]))
    return StreamingResponse(send_pieces(body), media_type=OCTETS)


def read_numbers(text: str) -> list[int]:
    """A list of frame numbers, "1,2,3". Raises Problem 400."""
    parts = text.split(",")
    if not all(part.isdecimal() and 0 < int(part) < 2**31 for part in parts):
        raise Problem(400, "frames are numbers from 1, separated by commas")
    return [int(part) for part in parts]


def _make_part(said: str, read: Callable[[int], bytes], number: int) -> Part:
    frame = read(number)
    return Part(said, [frame], len(frame))


def _choose_form(source: PixelSource, accepted: Sequence[Accepted], *, single: bool) -> Form:
    """(PS3.18 8.7.3.3): as stored where `transfer-syntax=*`, its own syntax or its own media type is asked for;
    decoded for application/octet-stream, and for whoever says nothing. Raises Problem 406."""
    stored = KINDS.get(source.syntax, OCTETS) if source.is_encapsulated else OCTETS
    plain = can_decode(source.syntax)
    for one in accepted:
        if one.multipart is False and not single:
            continue
        multipart = one.multipart is not False
        if source.is_encapsulated and _wants_stored(one, stored, source.syntax, plain=plain):
            return stored, source.syntax, multipart, source.read_stored
        if plain and one.takes(OCTETS) and one.syntax in ("", "*", EXPLICIT):
            return OCTETS, EXPLICIT, multipart, source.read_plain
    raise not_acceptable([f'{MULTIPART}; type="{kind}"' for kind in dict.fromkeys((stored, OCTETS))])


def _wants_stored(one: Accepted, stored: str, syntax: str, *, plain: bool) -> bool:
    """Whether the codestream itself is asked for. The viewers' octet-stream in any syntax is one in its own type."""
    if one.syntax in ("*", syntax):
        return one.takes(stored) or one.takes(OCTETS)
    return not one.syntax and one.takes(stored) and not (plain and one.takes(OCTETS))


def _read_whole(path: Path) -> Dataset:
    try:
        return dcmread(path, force=True, defer_size="1 MB")
    except FileNotFoundError:
        raise Problem(410, f"{path.stem} is no longer here") from None


def _find_value(dataset: Dataset, steps: Sequence[str]) -> bytes:
    missing = Problem(404, "there is no such bulk data")
    try:
        element: DataElement = dataset[int(steps[0], 16)]
        for item, tag in zip(steps[1::2], steps[2::2], strict=True):
            element = element.value[int(item) - 1][int(tag, 16)]
        value = b"".join(element.value) if isinstance(element.value, list) else element.value
    except (*DAMAGE, OSError) as error:
        if not is_damage(error):
            raise
        raise missing from None
    if not isinstance(value, bytes):
        raise missing
    return value
