"""A receiver by FHIR R4: a transaction, POSTed (http.html#transaction).

The server's words may be about the patient: of an answer its HTTP status is read, and codes of its OperationOutcome.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from node.errors import PeerUnreachable
from node.messages.acknowledgment import Reply, Verdict
from node.sections import Receiver
from node.security.web_client import make_web_client

JSON = "application/fhir+json"
ABOUT_US = {401, 403, 404, 405, 407}
"""Who we are or where we knock is wrong: of the message it says nothing. Somebody mends it, and then it goes."""

LATER = {408, 425, 429}

ISSUES = frozenset(
    {"invalid", "structure", "required", "value", "invariant", "security", "login", "unknown", "expired", "forbidden",
     "suppressed", "processing", "not-supported", "duplicate", "multiple-matches", "not-found", "deleted", "too-long",
     "code-invalid", "extension", "too-costly", "business-rule", "conflict", "transient", "lock-error", "no-store",
     "exception", "timeout", "incomplete", "throttled", "informational"}
)  # fmt: skip
"""Codes of OperationOutcome.issue (valueset-issue-type)."""

MOST = 1 << 20
"""Bytes of an answer that are read."""


@contextmanager
def open_fhir_line(receiver: Receiver, answer_wait: float) -> Iterator["FhirLine"]:
    """A client of the server. Raises PeerUnreachable when who we are to it cannot be read."""
    with make_web_client(receiver.web, answer_wait) as client:
        yield FhirLine(receiver.address, client)


class FhirLine:
    """See `line.TellLine`."""

    def __init__(self, root: str, client: httpx.Client) -> None:
        self._root = root
        self._client = client

    def tell(self, text: bytes, control_id: str) -> Reply:
        headers = {"Content-Type": JSON, "Accept": JSON, "X-Request-Id": control_id}
        try:
            with self._client.stream("POST", self._root, content=text, headers=headers) as answer:
                body = next(answer.iter_bytes(MOST), b"")
                return judge(answer.status_code, body)
        except httpx.HTTPError as error:
            raise PeerUnreachable(f"{self._root}: {type(error).__name__}") from None


def judge(status: int, body: bytes) -> Reply:
    """What HTTP `status` means for a transaction: 2xx has been done as a whole, 4xx never will be. Raises
    PeerUnreachable when the answer is about us and not about the message."""
    if 200 <= status < 300:
        return Reply(Verdict.TAKEN, f"HTTP {status}")
    if status in ABOUT_US or 300 <= status < 400:
        raise PeerUnreachable(f"answers HTTP {status}: look at address and web of this receiver")
    codes = sorted(_find_issues(body))
    text = ", ".join([f"HTTP {status}", *codes])
    return Reply(Verdict.REFUSED if 400 <= status < 500 and status not in LATER else Verdict.LATER, text)


def _find_issues(body: bytes) -> set[str]:
    try:
        outcome = json.loads(body)
        found = {issue.get("code") for issue in outcome.get("issue", [])}
    except (ValueError, AttributeError, TypeError):
        return set()
    return {str(code) for code in found if isinstance(code, str)} & ISSUES
