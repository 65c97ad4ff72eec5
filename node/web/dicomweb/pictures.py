"""Rendered resources and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4, 8.7.4)."""

from collections.abc import Sequence
from pathlib import Path

from pydicom import dcmread
from starlette.requests import Request
from starlette.responses import Response

from node.dicom.header import count_frames
from node.dicom.identity import NO_IMAGE_FAMILIES, NO_IMAGES
from node.web.dicomweb.index import Held
from node.web.dicomweb.media import choose, read_accept
from node.web.dicomweb.parts import Part, answer_parts
from node.web.dicomweb.problem import Problem
from node.web.dicomweb.render import GIF, JPEG, PNG, View, read_view, render, render_all

SINGLE = ((JPEG, False), (PNG, False), (GIF, False), (JPEG, True), (PNG, True))
SEVERAL = ((JPEG, True), (PNG, True))
MOST_OF_GIF = 100
"""Frames in one animated picture."""


def answer_rendered(request: Request, held: Sequence[Held], numbers: Sequence[int] | None = None) -> Response:
    """Of one instance its frames `numbers`, or the first, or all as GIF; of a series or study a picture of each."""
    view = read_view(request.query_params)
    several = len(held) > 1 or (numbers is not None and len(numbers) > 1)
    kind, multipart = choose(read_accept(request), SEVERAL if several else SINGLE)
    if not several:
        one = held[0].path
        number = numbers[0] if numbers else 1
        data = render_all(one, view, MOST_OF_GIF) if kind == GIF and not numbers else render(one, number, view, kind)
        return answer_parts(kind, [Part(kind, [data], len(data))]) if multipart else Response(data, media_type=kind)
    chosen = [(one.path, n) for one in held if is_image(one) for n in numbers or (1,)]
    if not chosen:
        raise Problem(406, "none of its instances is an image")
    first = render(*chosen[0], view, kind)
    parts = (_make_part(path, n, view, kind, first if at == 0 else None) for at, (path, n) in enumerate(chosen))
    return answer_parts(kind, parts)


def answer_thumbnail(request: Request, held: Sequence[Held], numbers: Sequence[int] | None = None) -> Response:
    """A small picture of the image, or of the frame, in the middle."""
    view = read_view(request.query_params, thumbnail=True)
    kind, _ = choose(read_accept(request), ((JPEG, False), (PNG, False), (GIF, False)))
    images = [one for one in held if is_image(one)] or list(held)
    path = images[len(images) // 2].path
    number = numbers[0] if numbers else (_count(path) + 1) // 2
    return Response(render(path, number, view, kind), media_type=kind, headers={"Cache-Control": "private, max-age=60"})


def is_image(held: Held) -> bool:
    """Whether it is of a class with pictures of a patient."""
    uid = held.sop_class_uid
    return uid not in NO_IMAGES and not uid.startswith(NO_IMAGE_FAMILIES)


def _count(path: Path) -> int:
    try:
        return count_frames(dcmread(path, stop_before_pixels=True, force=True, specific_tags=["NumberOfFrames"]))
    except FileNotFoundError:
        raise Problem(410, f"{path.stem} is no longer here") from None


def _make_part(path: Path, number: int, view: View, kind: str, made: bytes | None) -> Part:
    data = made if made is not None else render(path, number, view, kind)
    return Part(kind, [data], len(data))
