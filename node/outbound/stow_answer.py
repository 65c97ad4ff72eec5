"""What a STOW-RS server says of each instance that it was sent (PS3.18 10.5.3, table 10.5.3-1)."""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from node.errors import PeerUnreachable
from node.outbound.answers import Answer

JSON = "application/dicom+json"
MOST = 8 << 20
"""Bytes of an answer that are read."""

INSTANCE, REFERENCED, FAILED = "00081155", "00081199", "00081198"
FAILURE_REASON, WARNING_REASON = "00081197", "00081196"
OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0xA700, 0xC000

OURS = {400, 406, 409, 410, 411, 413, 414, 415, 422}
"""Client errors that are about what was sent; the others are about the place, or about us."""

NAMING = {200, 202, 409}
"""The body may speak of each instance."""

BUSY = {408, 425, 429, 500, 507}
"""The server was reached, and may take the same later."""


def judge(status: int, text: bytes, uids: Sequence[str]) -> dict[str, Answer]:
    """SOP Instance UID -> answer, for each of `uids`. Raises PeerUnreachable when the status says nothing of them."""
    if said := _read_said(status, text):
        silent = Answer(None, f"HTTP {status} does not name it")
        return {uid: said.get(uid, silent) for uid in uids}
    return dict.fromkeys(uids, _judge_all(status, text))


def refuses_all(status: int, text: bytes) -> bool:
    """True when the server takes none and names none: its reason may be one of them, or that they are many (413)."""
    return status in OURS and not _read_said(status, text)


def read_json(text: bytes) -> Any:
    """None when it is no JSON."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def read_body(response: httpx.Response, patience: float) -> bytes:
    """At most `MOST` bytes; raises PeerUnreachable when they take longer than `patience` seconds."""
    until, body = time.monotonic() + patience, b""
    for chunk in response.iter_bytes():
        body += chunk
        if time.monotonic() > until:
            raise PeerUnreachable(f"{response.url.host} does not come to the end of its answer")
        if len(body) > MOST:
            break
    return body


def _judge_all(status: int, text: bytes) -> Answer:
    """One answer for all: the server did not speak of each."""
    if status == 200 and not text.strip():
        return Answer(0xB000, "HTTP 200 without a word on the instance")
    if status in {200, 202}:
        return Answer(None, f"HTTP {status} with an answer that cannot be read")
    if status in OURS:
        return Answer(CANNOT_UNDERSTAND, f"HTTP {status}")
    if status in BUSY:
        return Answer(OUT_OF_RESOURCES, f"HTTP {status}")
    hint = ": does it know us? see `web` of the peer" if status in {401, 403} else ""
    raise PeerUnreachable(f"answers HTTP {status} to STOW-RS{hint}")


def _read_said(status: int, text: bytes) -> dict[str, Answer]:
    """See `_read_sequences`; nothing where the status does not go with it."""
    return _read_sequences(read_json(text)) if status in NAMING else {}


def _read_sequences(answer: Any) -> dict[str, Answer]:
    """SOP Instance UID -> answer of those that a Store Instances Response Module names; PS3.18 annex I."""
    if isinstance(answer, list) and answer:
        answer = answer[0]
    if not isinstance(answer, dict):
        return {}
    said = {}
    for item in _read_items(answer, REFERENCED):
        said[_read_value(item, INSTANCE)] = Answer(_read_code(item, WARNING_REASON) or 0x0000)
    for item in _read_items(answer, FAILED):
        said[_read_value(item, INSTANCE)] = Answer(_read_code(item, FAILURE_REASON) or CANNOT_UNDERSTAND)
    said.pop("", None)
    return said


def _read_items(answer: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = answer.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [item for item in values if isinstance(item, dict)] if isinstance(values, list) else []


def _read_value(item: Mapping[str, Any], tag: str) -> str:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""


def _read_code(item: Mapping[str, Any], tag: str) -> int:
    value = _read_value(item, tag)
    return int(value) & 0xFFFF if value.isdigit() else 0
