"""`Board` by UPS-RS (PS3.18 chapter 11). What is in an address may name a patient, so no address is ever told."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urljoin

import httpx
from pydicom import Dataset

from node.config import Settings
from node.dicom.model_values import find_values
from node.errors import PeerRefused, PeerUnreachable
from node.model.workitem import FILTERED, GLOBAL, StepState
from node.outbound.performing.board import MOST, RETURNED, Model
from node.outbound.stow_answer import read_body
from node.security.web_client import make_web_client

JSON = "application/dicom+json"
PAGE = 200
MOVED = frozenset({301, 302, 307, 308})
NOT_NOW = frozenset({401, 403, 408, 425, 429})
"""Client errors that time, or an administrator, may cure."""

GONE = frozenset({404, 410})
LABEL, STATION = "WorklistLabel", "ScheduledStationNameCodeSequence.CodeValue"


class WebBoard:
    """client: as `make_web_client` makes one."""

    def __init__(self, name: str, settings: Settings, client: httpx.Client) -> None:
        self._name = name
        self._root = settings.peers[name].dicomweb.rstrip("/")
        self._title = settings.node.ae_title
        self._patience = settings.deliver.answer_wait.total_seconds()
        self._client = client

    def search(self, label: str, station: str) -> list[Model]:
        keys = {"ProcedureStepState": str(StepState.SCHEDULED), "InputReadinessState": "READY"}
        keys |= _make_filter(label, station) | {"includefield": ",".join(RETURNED)}
        found: dict[str, Model] = {}
        while len(found) < MOST:
            page = {"limit": str(PAGE), "offset": str(len(found))}
            answer, body = self._ask("GET", "/workitems", params=keys | page)
            models = [] if answer.status_code == httpx.codes.NO_CONTENT else self._read(answer, body)
            before = len(found)
            found |= {str(next(iter(find_values(one, ["00080018"])), "")): one for one in models}
            if len(models) < PAGE or len(found) == before:
                break
        found.pop("", None)
        return list(found.values())[:MOST]

    def find(self, uid: str) -> Model | None:
        answer, body = self._ask("GET", f"/workitems/{uid}", may_be=GONE)
        if answer.status_code in GONE:
            return None
        return next(iter(self._read(answer, body)), None)

    def update(self, uid: str, changes: Dataset, lock: str) -> None:
        # The standard has the Transaction UID in the query; some managers look for it in the body.
        body = Dataset()
        body.update(changes)
        body.TransactionUID = lock
        self._ask("POST", f"/workitems/{uid}?{lock}", body=body)

    def change_state(self, uid: str, state: str, lock: str) -> None:
        body = Dataset()
        body.ProcedureStepState, body.TransactionUID = state, lock
        self._ask("PUT", f"/workitems/{uid}/state", body=body)

    def subscribe(self, label: str, station: str) -> str:
        wanted = ",".join(f"{key}={value}" for key, value in _make_filter(label, station).items())
        scopes = [(FILTERED, {"filter": wanted})] if wanted else []
        for scope, parameters in [*scopes, (GLOBAL, {})]:
            place = f"/workitems/{scope}/subscribers/{self._title}"
            may_be = frozenset({400, 403, 404}) if scope == FILTERED else frozenset()
            answer, _ = self._ask("POST", place, params={"deletionlock": "false", **parameters}, may_be=may_be)
            if not answer.is_success:  # it does not filter (PS3.18 11.10.3)
                continue
            where = answer.headers.get("Content-Location", "")
            if not where:
                raise PeerRefused(f"{self._name} answers Subscribe without the Content-Location of its WebSocket")
            return _to_channel(str(answer.url), where)
        raise AssertionError("the global worklist is asked last")

    def _ask(
        self,
        method: str,
        place: str,
        *,
        body: Dataset | None = None,
        params: dict[str, str] | None = None,
        may_be: frozenset[int] = frozenset(),
    ) -> tuple[httpx.Response, bytes]:
        """may_be: statuses of errors that are the caller's to understand."""
        headers = {"Accept": JSON} | ({"Content-Type": JSON} if body is not None else {})
        content = None if body is None else json.dumps([body.to_json_dict()])
        service = f"{method} of a workitem" if "/workitems/" in place else "the search for workitems"
        try:
            with self._client.stream(
                method, f"{self._root}{place}", params=params, content=content, headers=headers
            ) as answer:
                data = read_body(answer, self._patience)
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise PeerUnreachable(f"{self._name} does not answer {service} ({type(error).__name__})") from None
        status = answer.status_code
        if answer.is_success or status in may_be:
            return answer, data
        text = f"{self._name} answers {service} with HTTP {status}{_read_warning(answer)}"
        if status in MOVED:
            raise PeerUnreachable(f"{text}: is its dicomweb the right address?")
        if status in NOT_NOW or status >= 500:
            raise PeerUnreachable(f"{text}{': does it know us? see `web` of the peer' * (status in {401, 403})}")
        raise PeerRefused(text)

    def _read(self, answer: httpx.Response, body: bytes) -> list[Model]:
        """The models in it; one alone may come without an array."""
        try:
            said: Any = json.loads(body or b"[]")
        except ValueError:
            said = None
        models = [said] if isinstance(said, dict) else said
        if not isinstance(models, list) or not all(isinstance(one, dict) for one in models):
            raise PeerRefused(f"{self._name} answers HTTP {answer.status_code} with what is no DICOM JSON")
        return models


@contextmanager
def open_web(name: str, settings: Settings) -> Iterator[WebBoard]:
    """For a few requests on one connection. Raises PeerUnreachable where our credentials cannot be read."""
    patience = settings.deliver.answer_wait.total_seconds()
    with make_web_client(settings.peers[name].web, patience) as client:
        yield WebBoard(name, settings, client)


def _make_filter(label: str, station: str) -> dict[str, str]:
    return {key: value for key, value in ((LABEL, label), (STATION, station)) if value}


def _to_channel(asked: str, where: str) -> str:
    """The address that the manager answers, never one that is built; with the scheme of a WebSocket where it says that
    of HTTP."""
    address = urljoin(asked, where)
    return "ws" + address[4:] if address.startswith("http") else address


def _read_warning(answer: httpx.Response) -> str:
    """The sentences of the standard say nothing of a patient (PS3.18 11.5.3); other text is not repeated."""
    warning = answer.headers.get("Warning", "")
    known = ("The Transaction UID is", "The submitted request is inconsistent", "The target URI did not reference")
    return next((f" ({text} ...)" for text in known if text in warning), "")
