"""A message to a webhook: its body, its id, and the signature by which the receiver knows us ("Standard Webhooks" 1.0).

The same event always makes the same id and the same bytes, however often it is sent: the receiver drops what it has.
"""

import hmac
import json
from base64 import b64decode, b64encode
from binascii import Error
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from node.errors import PeerUnreachable
from node.model.uid import derive_key
from node.model.webhook import Notice

PREFIX = "whsec_"
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret."""


def make_id(notice: Notice, ae_title: str) -> str:
    """The same for every hook, and for every try; another for every event and every node."""
    return f"msg_{derive_key('webhook', ae_title, notice.job_id, str(notice.number))}"


def make_body(notice: Notice, ae_title: str) -> bytes:
    """JSON of uids, states, codes and names of the configuration."""
    data = {
        "node": ae_title,
        "number": notice.number,
        "job_id": notice.job_id,
        "study_uid": notice.study_uid,
        "route": notice.route,
        "pipeline": notice.pipeline,
        "version": notice.version,
        "state": notice.job_state,
        "station": notice.station,
        "code": notice.code,
    }
    kind = f"job.{notice.job_state.lower()}" if notice.kind == "state" else "job.noted"
    at = datetime.fromtimestamp(notice.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return json.dumps({"type": kind, "timestamp": at, "data": data}, separators=(",", ":")).encode()


def make_headers(message_id: str, at: int, body: bytes, secrets: Sequence[bytes]) -> dict[str, str]:
    """at: when it is sent, epoch seconds; each of `secrets` signs id, time and body."""
    signed = b".".join((message_id.encode(), str(at).encode(), body))
    signatures = [b64encode(hmac.digest(secret, signed, "sha256")).decode() for secret in secrets]
    return {
        "Content-Type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def read_secrets(place: Path) -> list[bytes]:
    """The secrets in the file, a line each. Raises PeerUnreachable naming the file: somebody may yet put it right."""
    try:
        lines = [line.strip() for line in place.read_text("ascii").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise PeerUnreachable(f"secret_file {place}: {type(error).__name__}") from None
    secrets = [_decode(line) for line in lines]
    if not secrets or any(not SHORTEST <= len(secret) <= LONGEST for secret in secrets):
        text = f'lines "{PREFIX}" + base64 of {SHORTEST} to {LONGEST} bytes'
        raise PeerUnreachable(f"secret_file {place} does not hold {text}")
    return secrets


def _decode(line: str) -> bytes:
    try:
        return b64decode(line.removeprefix(PREFIX), validate=True)
    except Error:
        return b""
