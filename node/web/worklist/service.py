"""UPS-RS: workitems are created, found, claimed, changed and finished by HTTP (PS3.18 11.4 to 11.12).

Nothing is decided here: `node.worklist` says what a request comes to, and this how HTTP puts it.
"""

import re
import time
from collections.abc import Awaitable, Callable
from functools import partial

from anyio.to_thread import run_sync
from pydicom import Dataset
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from node.config import Settings
from node.errors import WorkitemRefused
from node.model.workitem import FILTERED, Outcome
from node.web.access.who import find_who, note
from node.web.dicomweb.models import answer_models, choose_form
from node.web.dicomweb.place import find_root
from node.web.dicomweb.problem import Problem
from node.web.dicomweb.query import read_path, read_query
from node.web.refusal import Refusal, answer_refusal
from node.web.worklist.read import read_dataset
from node.worklist import Worklist

Act = Callable[[Request, Dataset], Response]

WORKITEMS = "/workitems"
WORKITEM = WORKITEMS + "/{workitem}"
SUBSCRIBER = WORKITEM + "/subscribers/{aetitle}"
CHANNEL = "/subscribers/{aetitle}"

UID = re.compile(r"[0-9][0-9.]{0,63}")
AE_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}")
LOCKS = ("transaction-uid", "transactionuid", "TransactionUID", "00081195", "transaction")
MORE = "The number of results exceeded the maximum supported by the server. Additional results can be requested."
MODIFIED_FUZZY = "The fuzzymatching parameter is not supported. Only literal matching has been performed."


class Workitems:
    """Answers for `worklist`; base: path of the DICOMweb service."""

    def __init__(self, settings: Settings, worklist: Worklist, base: str) -> None:
        self._worklist = worklist
        self._public_url, self._base = settings.web.public_url, base
        self._most = settings.web.most_results

    def make_routes(self) -> list[Route]:
        """All addresses, each beneath the base."""
        done: dict[tuple[str, str], tuple[Act, bool]] = {
            (WORKITEMS, "POST"): (self.create, False),
            (WORKITEM, "POST"): (self.update, False),
            (WORKITEM + "/state", "PUT"): (self.change_state, False),
            (WORKITEM + "/state/{requester}", "PUT"): (self.change_state, False),
            (WORKITEM + "/cancelrequest", "POST"): (self.request_cancel, True),
            (WORKITEM + "/cancelrequest/{requester}", "POST"): (self.request_cancel, True),
            (SUBSCRIBER, "POST"): (self.subscribe, True),
            (SUBSCRIBER, "DELETE"): (self.unsubscribe, True),
            (SUBSCRIBER + "/suspend", "POST"): (self.suspend, True),
        }
        read = {WORKITEMS: self.search, WORKITEM: self.retrieve}
        return [
            *(Route(self._base + path, self._reading(answer), methods=["GET"]) for path, answer in read.items()),
            *(Route(self._base + p, self._acting(act, empty), methods=[m]) for (p, m), (act, empty) in done.items()),
        ]

    def create(self, request: Request, body: Dataset) -> Response:
        """POST /workitems?{uid}"""
        uid = _read_uid_parameter(request)
        uid, outcome = self._worklist.create(body, time.time(), uid)
        note(request, uid=uid)
        return self._answer(request, outcome, {"Location": f"{self._find_root(request)}{WORKITEMS}/{uid}"})

    def retrieve(self, request: Request) -> Response:
        """GET /workitems/{uid}"""
        form = choose_form(request)
        found = self._worklist.get(_read_uid(request))
        return answer_models(form, [found.model.encode()])

    def search(self, request: Request) -> Response:
        """GET /workitems?..."""
        form = choose_form(request)
        query = read_query(request.query_params.multi_items())
        limit = self._most if query.limit is None else min(query.limit, self._most)
        found = self._worklist.search(query.matches, limit + 1, query.offset)
        notes = [MODIFIED_FUZZY] * query.is_fuzzy + [MORE] * (len(found) > limit and limit != query.limit)
        headers = {"Warning": ", ".join(self._warn(request, text) for text in notes)} if notes else {}
        if not found[:limit]:
            return Response(status_code=204, headers=headers)
        return answer_models(form, [item.model.encode() for item in found[:limit]], headers)

    def update(self, request: Request, body: Dataset) -> Response:
        """POST /workitems/{uid}?{transaction-uid}"""
        lock = _read_lock(request) or str(body.get("TransactionUID") or "")
        return self._answer(request, self._worklist.update(_read_uid(request), body, time.time(), lock))

    def change_state(self, request: Request, body: Dataset) -> Response:
        """PUT /workitems/{uid}/state"""
        state, lock = str(body.get("ProcedureStepState") or ""), str(body.get("TransactionUID") or "")
        return self._answer(request, self._worklist.change_state(_read_uid(request), state, lock, time.time()))

    def request_cancel(self, request: Request, body: Dataset) -> Response:
        """POST /workitems/{uid}/cancelrequest"""
        said = request.path_params.get("requester") or request.query_params.get("requester", "")
        requester = (said or find_who(request).name)[:16]
        return self._answer(request, self._worklist.request_cancel(_read_uid(request), body, requester, time.time()))

    def subscribe(self, request: Request, _body: Dataset) -> Response:
        """POST /workitems/{uid}/subscribers/{aetitle}?deletionlock&filter"""
        uid, name = _read_uid(request), _read_title(request)
        lock = request.query_params.get("deletionlock", "false").lower()
        if lock not in {"true", "false"}:
            raise Refusal(400, "deletionlock is true or false")
        keys = _read_filter(request.query_params.get("filter", "")) if uid == FILTERED else []
        outcome = self._worklist.subscribe(uid, name, time.time(), lock=lock == "true", keys=keys)
        channel = self._find_root(request) + CHANNEL.replace("{aetitle}", name)
        return self._answer(request, outcome, {"Content-Location": re.sub("^http", "ws", channel)})

    def unsubscribe(self, request: Request, _body: Dataset) -> Response:
        """DELETE /workitems/{uid}/subscribers/{aetitle}"""
        return self._answer(request, self._worklist.unsubscribe(_read_uid(request), _read_title(request)))

    def suspend(self, request: Request, _body: Dataset) -> Response:
        """POST /workitems/{uid}/subscribers/{aetitle}/suspend"""
        return self._answer(request, self._worklist.suspend(_read_uid(request), _read_title(request)))

    def _find_root(self, request: Request) -> str:
        return find_root(request, self._public_url) + self._base

    def _warn(self, request: Request, text: str) -> str:
        return f"299 {self._find_root(request)}: {text}"

    def _answer(self, request: Request, outcome: Outcome, headers: dict[str, str] | None = None) -> Response:
        said = dict(headers or {})
        if outcome.http >= 400:
            return answer_refusal(request, Problem(outcome.http, outcome.text))
        if outcome.warning:
            said["Warning"] = self._warn(request, outcome.warning)
        return Response(status_code=outcome.http, headers=said)

    def _refuse(self, request: Request, error: Problem | WorkitemRefused) -> Response:
        if isinstance(error, Problem):
            return answer_refusal(request, error)
        answer = answer_refusal(request, Problem(error.http, str(error)))
        if error.warning:
            answer.headers["Warning"] = self._warn(request, error.warning)
        return answer

    def _reading(self, answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
        def answered(request: Request) -> Response:
            try:
                return answer(request)
            except (Problem, WorkitemRefused) as error:
                return self._refuse(request, error)

        return answered

    def _acting(self, act: Act, may_be_empty: bool) -> Callable[[Request], Awaitable[Response]]:
        """Reads the body, then acts on a thread."""

        async def answered(request: Request) -> Response:
            try:
                body = await read_dataset(request, may_be_empty=may_be_empty)
                return await run_sync(partial(act, request, body))
            except (Problem, WorkitemRefused) as error:
                return self._refuse(request, error)

        return answered


SERVICES = [
    (WORKITEMS, "POST", "CreateWorkitem"),
    (WORKITEMS, "GET", "SearchForWorkitems"),
    (WORKITEM, "GET", "RetrieveWorkitem"),
    (WORKITEM, "POST", "UpdateWorkitem"),
    (WORKITEM + "/state", "PUT", "ChangeWorkitemState"),
    (WORKITEM + "/cancelrequest", "POST", "RequestCancellation"),
    (SUBSCRIBER, "POST", "Subscribe"),
    (SUBSCRIBER, "DELETE", "Unsubscribe"),
    (SUBSCRIBER + "/suspend", "POST", "SuspendGlobalSubscription"),
    (CHANNEL, "GET", "OpenNotificationConnection"),
]
"""(path, method, name) of each transaction, for Retrieve Capabilities."""


def _read_uid(request: Request) -> str:
    return _check_uid(request.path_params["workitem"])


def _read_uid_parameter(request: Request) -> str:
    """As `?1.2.3`, or by a name."""
    parameters = request.query_params
    bare = [name for name, value in parameters.multi_items() if not value and UID.fullmatch(name)]
    said = parameters.get("workitem") or parameters.get("AffectedSOPInstanceUID") or "".join(bare[:1])
    return _check_uid(said) if said else ""


def _read_lock(request: Request) -> str:
    """As `?2.25.3`, or by a name."""
    parameters = request.query_params
    named = next((parameters[name] for name in LOCKS if name in parameters), "")
    return named or next((name for name, value in parameters.multi_items() if not value and UID.fullmatch(name)), "")


def _check_uid(text: str) -> str:
    if not UID.fullmatch(text):
        raise Refusal(400, "the workitem of the address is no UID")
    return text


def _read_title(request: Request) -> str:
    title = str(request.path_params["aetitle"]).strip()
    if not AE_TITLE.fullmatch(title):
        raise Refusal(400, "the subscriber of the address is no AE title")
    return title


def _read_filter(text: str) -> list[tuple[str, str]]:
    """A comma-separated list of attribute=value; a comma that no attribute follows belongs to the value."""
    pairs = [part.partition("=") for part in re.split(r",(?=[\w.]+=)", text) if part]
    return [(".".join(read_path(name)), value) for name, _, value in pairs]
