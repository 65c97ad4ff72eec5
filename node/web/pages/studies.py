"""`/studies`: all studies, a page at a time. `/studies/{uid}`: what came, why it was closed, what was made of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from pydicom.uid import UID
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from node.ledger import Ledger
from node.ledger.listing import NO_JOB
from node.model.job import Job
from node.model.study import Instance, Study, StudyState
from node.oversight.waiting import describe_job
from node.web.access.who import note
from node.web.dicomweb.index import Index
from node.web.dicomweb.problem import Problem
from node.web.pages import actions
from node.web.pages.frame import Frame, change_query
from node.web.pages.jobs import PAGE, read_turn

STATES = {"": "All", StudyState.RECEIVING.value: "Arriving", StudyState.COMPLETE.value: "Closed", NO_JOB: "No job"}


@dataclass(frozen=True, slots=True)
class SeriesRow:
    """A series as the node holds it. first_at, last_at: epoch seconds; size: bytes; modality: "" while unknown."""

    series_uid: str
    modality: str
    classes: tuple[str, ...]
    number: int
    size: int
    first_at: float
    last_at: float


@dataclass(frozen=True, slots=True)
class Moment:
    """A line of a study's timeline."""

    at: float
    what: str
    text: str
    job_id: str = ""


class StudyPages:
    """find_modalities: Study Instance UID -> {Series Instance UID: modality} of what was looked at so far."""

    def __init__(self, ledger: Ledger, frame: Frame, find_modalities: Callable[[str], dict[str, str]]) -> None:
        self._ledger = ledger
        self._frame = frame
        self._find_modalities = find_modalities

    def show_list(self, request: Request) -> Response:
        """GET /studies"""
        state, text, patient = (request.query_params.get(name, "").strip() for name in ("state", "text", "patient"))
        try:
            turn = read_turn(request)
        except Problem as problem:
            return self._frame.refuse(request, problem)
        if among := request.query_params.get("among", ""):
            named = (self._ledger.find_study(uid) for uid in among.split(",")[:PAGE])
            found = [study for study in named if study is not None]
        else:
            found = self._ledger.list_studies(state, text, turn, PAGE + 1, patient)
        more, newer = len(found) > PAGE, turn is not None and turn.newer
        studies = found[-PAGE:] if newer else found[:PAGE]
        first, last = (f"{one.last_at!r},{one.study_uid}" for one in (studies[0], studies[-1])) if studies else ("", "")
        return self._frame.render(
            request,
            "studies.html",
            studies=studies,
            state=state,
            text=text,
            patient=patient,
            among=among,
            tabs=[(key, label, change_query(request, state=key)) for key, label in STATES.items()],
            older=change_query(request, before=last) if studies and (more or newer) else "",
            newer=change_query(request, after=first) if studies and (more if newer else turn is not None) else "",
        )

    def show(self, request: Request) -> Response:
        """GET /studies/{uid}"""
        try:
            study = actions.get_study(self._ledger, request.path_params["study"])
        except Problem as problem:
            return self._frame.refuse(request, problem)
        return self._render(request, study)

    def act(self, request: Request, _form: dict[str, str]) -> Response:
        """POST /studies/{uid}/complete"""
        try:
            study = actions.get_study(self._ledger, request.path_params["study"])
        except Problem as problem:
            return self._frame.refuse(request, problem)
        note(request, study=study.study_uid)
        try:
            actions.complete(self._ledger, study)
        except Problem as problem:
            return self._render(request, study, problem)
        return RedirectResponse(f"/studies/{study.study_uid}?said=complete", 303)

    def _render(self, request: Request, study: Study, problem: Problem | None = None) -> Response:
        ledger, uid = self._ledger, study.study_uid
        jobs = ledger.find_jobs(uid)
        by_id = {job.id: job for job in jobs}
        asked = request.query_params.get("said") == "complete" and study.state == StudyState.RECEIVING
        return self._frame.render(
            request,
            "study.html",
            problem.status if problem else 200,
            address=f"/studies/{uid}",
            study=study,
            series=group_series(ledger.find_instances(uid), self._find_modalities(uid)),
            expectations=[one for one in ledger.find_expectations() if one.study_uid == uid],
            jobs=[(job, describe_job(job, by_id)) for job in sorted(jobs, key=lambda job: -job.version)],
            timeline=self._find_timeline(study, jobs),
            said="The study will be closed in a moment." if asked else "",
            trouble=problem.detail if problem else "",
        )

    def _find_timeline(self, study: Study, jobs: Sequence[Job]) -> list[Moment]:
        """Everything that the ledger knows of when, oldest first."""
        moments = [Moment(study.first_at, "first image", ""), Moment(study.last_at, "last image", "")]
        for caller, opened, ended, how in self._ledger.find_associations(study.study_uid):
            moments.append(Moment(opened, "association", f"{caller} began to send"))
            if ended is not None:
                moments.append(Moment(ended, "association", f"{caller}'s ended: {how}"))
        if study.closed_at is not None:
            text = "; ".join(part for part in (study.evidence, study.reason) if part)
            moments.append(Moment(study.closed_at, f"closed, version {study.version}", text))
        lines = ((job, event) for job in jobs for event in self._ledger.find_history(job.id))
        told = (Moment(e.at, f"{job.pipeline}: {e.state}", f"{e.station}: {e.text}", job.id) for job, e in lines)
        return sorted(chain(moments, told), key=lambda moment: moment.at)


def group_series(instances: Sequence[Instance], modalities: dict[str, str]) -> list[SeriesRow]:
    """A row for each series, in the order of their first instances."""
    grouped: dict[str, list[Instance]] = {}
    for instance in instances:
        grouped.setdefault(instance.series_uid, []).append(instance)
    return [
        SeriesRow(
            uid,
            modalities.get(uid, ""),
            tuple(sorted({UID(one.sop_class_uid).name for one in members})),
            len(members),
            sum(one.size for one in members),
            min(one.received_at for one in members),
            max(one.received_at for one in members),
        )
        for uid, members in grouped.items()
    ]


def read_modalities(index: Index, study_uid: str) -> dict[str, str]:
    """Series Instance UID -> modality of the series that the index of DICOMweb knows already."""
    rows = index.connection.execute("SELECT series_uid, modality FROM series WHERE study_uid = ?", (study_uid,))
    return {row[0]: row[1] for row in rows}
