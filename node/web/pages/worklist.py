"""`/worklist`: workitems of the department and of our own jobs: what waits, what runs, what ended of late."""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count

from starlette.requests import Request
from starlette.responses import Response

from node.dicom.model_values import find_values
from node.model.workitem import StepPriority, StepState, Workitem
from node.web.dicomweb.problem import Problem
from node.web.pages.frame import Frame, change_query
from node.web.pages.jobs import PAGE
from node.web.pages.known import Known
from node.worklist import Worklist

PROGRESS = "00741002"
PLACE = re.compile(r"[0-9]{1,9}")
Studies = Callable[[str], Known]
"""What is known of the study of a uid."""


@dataclass(frozen=True, slots=True)
class Row:
    """A workitem as the page shows it: nothing of the patient. study_uid: "" where nothing of it is here. changed_at:
    epoch seconds, UTC."""

    uid: str
    state: str
    priority: str
    label: str
    work: str
    station: str
    readiness: str
    study_uid: str
    study: Known
    percent: str
    text: str
    changed_at: float


PATHS = {"state": "00741000", "priority": "00741200", "label": "00741202", "station": "00404025.00080100"}
"""What the page may ask for -> path of the key."""

ABOUT_STUDIES = ("modality", "site", "critical")
"""What the page may ask for besides: of the study of a workitem, by `studies`."""

CHUNK = 200
"""Workitems looked at in one step where their studies decide."""

MOST = 1000
"""Workitems looked at for one page; the next one goes on from there."""

WORDS = {"state": tuple(StepState), "priority": tuple(StepPriority)}


class WorklistPage:
    """A list without buttons, with filters, a page at a time."""

    def __init__(self, worklist: Worklist, frame: Frame, studies: Studies, sites: Sequence[str]) -> None:
        self._worklist = worklist
        self._frame = frame
        self._studies = studies
        self._sites = sites

    def show(self, request: Request) -> Response:
        """GET /worklist?state&priority&label&station&modality&site&critical&at"""
        asked = {name: request.query_params.get(name, "") for name in (*PATHS, *ABOUT_STUDIES)}
        for name, words in WORDS.items():
            if asked[name] and asked[name] not in words:
                return self._frame.refuse(request, Problem(400, f"{name} is one of {', '.join(words)}"))
        at = request.query_params.get("at", "0")
        if not PLACE.fullmatch(at):
            return self._frame.refuse(request, Problem(400, "at is the number of a workitem"))
        rows, further = self._find_page(asked, int(at))
        states = [(str(state), str(state).capitalize(), change_query(request, state=state)) for state in StepState]
        return self._frame.render(
            request,
            "worklist.html",
            rows=rows,
            asked=asked,
            tabs=[("", "All", change_query(request, state="")), *states],
            priorities=[str(priority) for priority in StepPriority],
            sites=self._sites,
            first=change_query(request) if int(at) else "",
            further=change_query(request, at=str(further)) if further else "",
        )

    def _find_page(self, asked: dict[str, str], begin: int) -> tuple[list[Row], int]:
        """The rows from the `begin`-th workitem on, and where those after them begin, 0 for nowhere."""
        rows: list[Row] = []
        for at, item, known in self._look(asked, begin):
            if len(rows) == PAGE or at - begin >= MOST:
                return rows, at
            if _fits(asked, known):
                rows.append(to_row(item, known))
        return rows, 0

    def _look(self, asked: dict[str, str], begin: int) -> Iterator[tuple[int, Workitem, Known]]:
        keys = [(path, asked[name]) for name, path in PATHS.items() if asked[name]]
        seen: dict[str, Known] = {}
        for at in count(begin, CHUNK):
            found = self._worklist.search(keys, CHUNK, at)
            for place, item in enumerate(found, at):
                study = find_study(item)
                if study not in seen:
                    seen[study] = self._studies(study)
                yield place, item, seen[study]
            if len(found) < CHUNK:
                return


def _fits(asked: dict[str, str], known: Known) -> bool:
    """Whether the study is as it was asked for."""
    by_modality = not asked["modality"] or asked["modality"].upper() in known.modalities
    by_site = not asked["site"] or asked["site"] in known.sites
    return by_modality and by_site and (not asked["critical"] or known.is_critical)


def find_study(item: Workitem) -> str:
    """Study Instance UID of `item`, "" where it says none."""
    return str(next(iter(find_values(json.loads(item.model), ["0020000D"])), ""))


def to_row(item: Workitem, known: Known) -> Row:
    """What is shown of `item`, of whose study that is `known`."""
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
        study_uid=find_study(item) if known.modalities else "",
        study=known,
        percent=_shorten(first(PROGRESS, "00741004")),
        text=first(PROGRESS, "00741238") or first(PROGRESS, "00741006"),
        changed_at=item.changed_at,
    )


def _shorten(percent: str) -> str:
    return percent.removesuffix(".0")
