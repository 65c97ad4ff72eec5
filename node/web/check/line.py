"""One request at a time to the server that is checked, and what it answered."""

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

from node.dicom.multipart import Malformed, MediaType, MultipartReader, PartBegin, PartData, parse_media_type
from node.errors import PeerUnreachable

PATIENCE = 30.0
MOST = 256 << 20
"""Bytes of an answer that are read."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, header lines, and a body."""

    status: int
    headers: Message
    body: bytes

    @property
    def media_type(self) -> MediaType:
        """Of the body; its name is "" when the answer does not say."""
        return parse_media_type(self.headers.get("Content-Type", ""))

    def read_json(self) -> list[dict[str, Any]]:
        """The datasets in the body, none when it is no list of them."""
        try:
            models = json.loads(self.body) if self.body else []
        except ValueError:
            return []
        models = [models] if isinstance(models, dict) else models
        return [model for model in models if isinstance(model, dict)] if isinstance(models, list) else []

    def read_parts(self) -> list[tuple[MediaType, bytes]]:
        """The parts of a multipart body, none when it is no multipart."""
        parts: list[tuple[MediaType, bytearray]] = []
        try:
            reader = MultipartReader(self.media_type.parameters.get("boundary", ""))
            for event in reader.feed(self.body):
                if isinstance(event, PartBegin):
                    parts.append((parse_media_type(event.headers.get("content-type", "")), bytearray()))
                elif isinstance(event, PartData):
                    parts[-1][1].extend(event.data)
            reader.close()
        except Malformed:
            return []
        return [(kind, bytes(data)) for kind, data in parts]


class Line:
    """A line to `url`, the root of DICOMweb services. user: "name:password"; token: a bearer token."""

    def __init__(self, url: str, user: str = "", token: str = "") -> None:
        self._url = urlsplit(url.rstrip("/"))
        self._credentials: dict[str, str] = {}
        if token:
            self._credentials["Authorization"] = f"Bearer {token}"
        elif user:
            self._credentials["Authorization"] = "Basic " + base64.b64encode(user.encode()).decode()

    @property
    def has_credentials(self) -> bool:
        """Whether we show who we are."""
        return bool(self._credentials)

    def ask(
        self, path: str, accept: str = "", method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Answer:
        """The answer to one request; `path` below the root, or a whole address on the same server; headers: with "_"
        for "-". Raises PeerUnreachable."""
        said = {"User-Agent": "wetread check-dicomweb"} | self._credentials
        said |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self._send(method, path, said | ({"Accept": accept} if accept else {}), body)

    def ask_unknown(self, path: str) -> Answer:
        """As somebody whose token is wrong."""
        return self._send("GET", path, {"Authorization": "Bearer nobody"}, None)

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
        if "://" in path:
            parts = urlsplit(path)
            place = parts.path + (f"?{parts.query}" if parts.query else "")
        else:
            place = self._url.path + path
        connection = self._connect()
        try:
            connection.request(method, place, body, dict(headers))
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read(MOST))
        except (OSError, http.client.HTTPException) as error:
            raise PeerUnreachable(f"{method} {place}: {type(error).__name__}") from None
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        if self._url.scheme == "https":
            return http.client.HTTPSConnection(host, port, timeout=PATIENCE, context=ssl.create_default_context())
        return http.client.HTTPConnection(host, port, timeout=PATIENCE)
