"""Datasets without bulk data as the answer to a request: a JSON array, or parts of XML (PS3.18 8.7.3.2)."""

import json
from collections.abc import Iterable, Iterator, Mapping

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from node.web.dicomweb.media import JSON, XML, choose, read_accept
from node.web.dicomweb.parts import Part, answer_parts, send_pieces
from node.web.dicomweb.xml_model import to_xml

PLAIN_JSON = "application/json"
OFFERS = ((JSON, False), (PLAIN_JSON, False), (XML, True))


def choose_form(request: Request) -> str:
    """JSON, PLAIN_JSON or XML. Raises Problem 406."""
    return choose(read_accept(request), OFFERS)[0]


def answer_models(form: str, models: Iterable[bytes], headers: Mapping[str, str] | None = None) -> Response:
    """`models`, each the DICOM JSON of one dataset, in `form`."""
    if form == XML:
        return answer_parts(XML, (Part(XML, [to_xml(json.loads(model))]) for model in models), headers=headers)
    if isinstance(models, list):
        return Response(b"[" + b",".join(models) + b"]", media_type=form, headers=dict(headers or {}))
    return StreamingResponse(send_pieces(_to_array(models)), media_type=form, headers=dict(headers or {}))


def _to_array(models: Iterable[bytes]) -> Iterator[bytes]:
    mark = b"["
    for model in models:
        yield mark + model
        mark = b","
    yield b"]" if mark == b"," else b"[]"
