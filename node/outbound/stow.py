"""A destination by DICOMweb: STOW-RS, then QIDO-RS to see whether it keeps what it took (PS3.18 10.5, 10.6).

The body goes out file by file, never whole in memory. What the server says of each instance has the codes of C-STORE. A
server that does not know us, has no such service or hides behind a proxy that cannot reach it says nothing of any
instance: it counts as unreachable, and its circuit opens.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import httpx

from node.config import Settings
from node.errors import PeerUnreachable
from node.ledger import Ledger
from node.model.delivery import Delivery, DeliveryState
from node.outbound.answers import Answer
from node.outbound.confirm import NO_PLACE, find_place, keep_unasked, settle_query
from node.outbound.stow_answer import JSON, judge, read_body, read_json, refuses_all
from node.sections import Confirm, Peer
from node.security.web_client import make_web_client

CHUNK = 1 << 20


@contextmanager
def open_stow_line(name: str, settings: Settings, ledger: Ledger) -> Iterator["StowLine"]:
    """A client with one connection that stays open between requests. Raises PeerUnreachable."""
    peer = settings.peers[name]
    with make_web_client(peer.web, settings.deliver.answer_wait.total_seconds()) as client:
        yield StowLine(peer, settings, ledger, client)


class StowLine:
    """See `line.Line`."""

    most = 20
    is_up = True

    def __init__(self, peer: Peer, settings: Settings, ledger: Ledger, client: httpx.Client) -> None:
        self._root = peer.dicomweb.rstrip("/")
        self._confirm = peer.confirm
        self._settings = settings
        self._ledger = ledger
        self._client = client
        self._patience = 2 * settings.deliver.answer_wait.total_seconds()

    def store(self, deliveries: Sequence[Delivery]) -> Iterator[tuple[Delivery, Answer]]:
        """One request for all of `deliveries`; where it is refused without a word on any of them, one for each."""
        if not deliveries:
            return
        status, text = self._post(deliveries)
        if len(deliveries) > 1 and refuses_all(status, text):
            for delivery in deliveries:
                yield from self.store([delivery])
            return
        answers = judge(status, text, [delivery.object.sop_instance_uid for delivery in deliveries])
        for delivery in deliveries:
            yield delivery, answers[delivery.object.sop_instance_uid]

    def _post(self, deliveries: Sequence[Delivery]) -> tuple[int, bytes]:
        """(status, body of the answer). Raises PeerUnreachable."""
        paths = [self._settings.outbox / delivery.object.path for delivery in deliveries]
        boundary = f"wetread-{uuid4().hex}"
        length, body = make_body(paths, boundary)
        headers = {
            "Accept": JSON,
            "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
            "Content-Length": str(length),
        }
        return self._ask("POST", f"{self._root}/studies", headers, body)

    def confirm(self, deliveries: Sequence[Delivery]) -> None:
        jobs = {delivery.job_id for delivery in deliveries}
        wanted = {(delivery.destination, delivery.object.sop_instance_uid) for delivery in deliveries}
        rows = [row for job in jobs for row in self._ledger.find_deliveries(job, states=[DeliveryState.SENT])]
        sent = [row for row in rows if (row.destination, row.object.sop_instance_uid) in wanted]
        if self._confirm == Confirm.NONE:
            keep_unasked(self._ledger, sent)
            return
        for delivery in sent:
            settle_query(self._ledger, delivery, *self._find(delivery), self._settings.deliver)

    def _find(self, delivery: Delivery) -> tuple[bool | None, str]:
        """See `confirm.find_by_query`."""
        at = find_place(delivery, self._ledger, self._settings.outbox)
        if at is None:
            return None, NO_PLACE
        study, series = at
        uid = delivery.object.sop_instance_uid
        place = f"{self._root}/studies/{study}/series/{series}/instances?SOPInstanceUID={uid}"
        status, text = self._ask("GET", place, {"Accept": JSON})
        if status == 204 or (status == 404 and read_json(text) == []):
            return False, "QIDO-RS"
        found = read_json(text) if status == 200 else None
        if not isinstance(found, list):
            return None, f"answers HTTP {status} to QIDO-RS"
        return any(_read_uid(match) == uid for match in found), "QIDO-RS"

    def _ask(
        self, method: str, place: str, headers: Mapping[str, str], body: Iterator[bytes] | None = None
    ) -> tuple[int, bytes]:
        """(status, body of the answer). Raises PeerUnreachable."""
        try:
            with self._client.stream(method, place, headers=headers, content=body) as response:
                return response.status_code, read_body(response, self._patience)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PeerUnreachable(f"{self._root}: {type(error).__name__} {error}".strip()) from error


def probe(peer: Peer, answer_wait: float) -> str:
    """What a DICOMweb server says to a search for one study. Raises PeerUnreachable when it is not as it must be."""
    root = peer.dicomweb.rstrip("/")
    with make_web_client(peer.web, answer_wait) as client:
        try:
            status = client.get(f"{root}/studies", params={"limit": "1"}, headers={"Accept": JSON}).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PeerUnreachable(f"{root}: {type(error).__name__} {error}".strip()) from error
    if status not in {200, 204}:
        raise PeerUnreachable(f"{root} answers HTTP {status} to QIDO-RS")
    return f"{root} answers HTTP {status} to QIDO-RS"


def make_body(paths: Sequence[Path], boundary: str) -> tuple[int, Iterator[bytes]]:
    """(length, chunks) of a multipart/related body of Part 10 files (PS3.18 8.7.1, RFC 2387)."""
    head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    tail = f"--{boundary}--\r\n".encode()
    length = sum(len(head) + path.stat().st_size + 2 for path in paths) + len(tail)

    def chunks() -> Iterator[bytes]:
        for path in paths:
            yield head
            with path.open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
            yield b"\r\n"
        yield tail

    return length, chunks()


def _read_uid(match: object) -> str:
    element = match.get("00080018") if isinstance(match, dict) else None
    values = element.get("Value") if isinstance(element, dict) else None
    return str(values[0]) if isinstance(values, list) and values else ""
