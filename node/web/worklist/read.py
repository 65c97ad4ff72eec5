"""The body of a request as a Dataset: DICOM JSON or XML, alone or as the one part of a multipart (PS3.18 11.1.1)."""

import json
from typing import Any

from pydicom import Dataset
from starlette.requests import Request

from node.dicom.header import DAMAGE
from node.dicom.multipart import Malformed, parse_media_type, read_parts
from node.web.body import read_bounded
from node.web.dicomweb.media import JSON, MULTIPART, XML
from node.web.dicomweb.models import PLAIN_JSON
from node.web.dicomweb.xml_reader import from_xml
from node.web.refusal import Refusal

LONGEST = 16 << 20
"""Bytes of one workitem: the references to some ten thousand images."""


async def read_dataset(request: Request, *, may_be_empty: bool = False) -> Dataset:
    """Raises Refusal 400, 413, 415."""
    body = await read_bounded(request, LONGEST)
    if may_be_empty and not body.strip():
        return Dataset()
    try:
        return Dataset.from_json(_read_model(request.headers.get("content-type", JSON), body))
    except (Malformed, *DAMAGE) as error:
        raise Refusal(400, f"the body holds no dataset: {type(error).__name__}") from None


def _read_model(content_type: str, body: bytes) -> dict[str, Any]:
    media_type = parse_media_type(content_type)
    kind = media_type.name
    if kind == MULTIPART:
        kind = media_type.parameters.get("type", XML).lower()
        parts = [b"".join(part) for part in read_parts([body], media_type.parameters.get("boundary", ""))]
        if len(parts) != 1:
            raise Refusal(400, f"the body has {len(parts)} parts: a workitem is one")
        (body,) = parts
    if kind in {JSON, PLAIN_JSON}:
        return _take_one(json.loads(body))
    if kind == XML:
        return from_xml(body)
    raise Refusal(415, f"a workitem is {JSON} or {XML}")


def _take_one(content: Any) -> dict[str, Any]:
    """A model, alone or as an array of one."""
    if isinstance(content, list) and len(content) == 1:
        (content,) = content
    if not isinstance(content, dict):
        raise Refusal(400, "the body is not one JSON object, nor an array of one")
    return content
