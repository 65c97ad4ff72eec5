"""`/worklist`: workitems of the department and of our own jobs: what waits, what runs, what ended of late."""

import json
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from node.dicom.model_values import find_values
from node.model.workitem import StepPriority, StepState, Workitem
from node.web.dicomweb.problem import Problem
from node.web.pages.frame import Frame, change_query
from node.web.pages.jobs import PAGE
from node.worklist import Worklist

PROGRESS = "00741002"


@dataclass(frozen=True, slots=True)
class Row:
    """A workitem as the page shows it: nothing of the patient. changed_at: epoch seconds, UTC."""

    uid: str
    state: str
    priority: str
    label: str
    work: str
    station: str
    readiness: str
    percent: str
    text: str
    changed_at: float


PATHS = {"state": "00741000", "priority": "00741200", "label": "00741202", "station": "00404025.00080100"}
"""What the page may ask for -> path of the key."""

WORDS = {"state": tuple(StepState), "priority": tuple(StepPriority)}


class WorklistPage:
    """A list without buttons, with filters."""

    def __init__(self, worklist: Worklist, frame: Frame) -> None:
        self._worklist = worklist
        self._frame = frame

    def show(self, request: Request) -> Response:
        """GET /worklist?state&priority&label&station"""
        asked = {name: request.query_params.get(name, "") for name in PATHS}
        for name, words in WORDS.items():
            if asked[name] and asked[name] not in words:
                return self._frame.refuse(request, Problem(400, f"{name} is one of {', '.join(words)}"))
        found = self._worklist.search([(PATHS[name], text) for name, text in asked.items() if text], PAGE + 1)
        states = [(str(state), str(state).capitalize(), change_query(request, state=state)) for state in StepState]
        return self._frame.render(
            request,
            "worklist.html",
            rows=[to_row(item) for item in found[:PAGE]],
            asked=asked,
            tabs=[("", "All", change_query(request, state="")), *states],
            priorities=[str(priority) for priority in StepPriority],
            has_more=len(found) > PAGE,
        )


def to_row(item: Workitem) -> Row:
    """What is shown of `item`."""
    model = json.loads(item.model)

    def first(*path: str) -> str:
        return str(next(iter(find_values(model, path)), ""))

    return Row(
        uid=item.uid,
        state=str(item.state),
        priority=first("00741200"),
        label=first("00741202"),
        work=first("00404018", "00080104") or first("00741204"),
        station=", ".join(map(str, find_values(model, ["00404025", "00080100"]))),
        readiness=first("00404041"),
        percent=_shorten(first(PROGRESS, "00741004")),
        text=first(PROGRESS, "00741238") or first(PROGRESS, "00741006"),
        changed_at=item.changed_at,
    )


def _shorten(percent: str) -> str:
    return percent.removesuffix(".0")
