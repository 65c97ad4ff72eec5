"""A workitem that names one of our pipelines becomes a job, when its inputs are here (IHE AIW-I, push).

It names it by Scheduled Workitem Code (the pipeline's name, 99WETREAD), or by a Worklist Label that is a route's name.
The first route of that pipeline says where results go; without one it is nobody's here, and stays SCHEDULED.
"""

import json
import logging
from typing import Any

from pydicom.uid import generate_uid

from node.config import Settings
from node.dicom.model_values import find_values
from node.ledger import Ledger
from node.ledger.gathering import GATHERED, SUBMITTED
from node.model.job import Job, Late, State
from node.model.study import Instance, Study, StudyState
from node.model.uid import derive_key
from node.model.workitem import Workitem
from node.sections import Route
from node.worklist.guard import find_first, find_route, is_ours
from node.worklist.links import Link
from node.worklist.of_job import PRIORITIES, URGENCY
from node.worklist.worklist import Worklist
from pipelines.terms import get_manifest

log = logging.getLogger(__name__)

CALLER = "WORKLIST"
"""Who announces the instances that a workitem refers to."""

LIVE = frozenset(State) - {State.FAILED, State.CANCELED}


class Pushed:
    """Takes workitems that are for us."""

    def __init__(self, settings: Settings, ledger: Ledger, worklist: Worklist) -> None:
        self._settings, self._ledger, self._worklist = settings, ledger, worklist

    def tick(self, now: float) -> list[str]:
        """Makes jobs of those whose inputs are here. Returns their ids, of jobs that were there before too."""
        routes = self._settings.routes
        names = [route.pipeline for route in routes], [route.name for route in routes]
        taken = []
        for item in self._worklist.find_unlinked(*names):
            model = json.loads(item.model)
            route = find_route(model, self._settings)
            if route is not None and is_ours(model, self._settings.node.ae_title):
                taken += self._take(item, model, route, now)
        return taken

    def _take(self, item: Workitem, model: dict[str, Any], route: Route, now: float) -> list[str]:
        wanted = find_values(model, ["00404021", "00081199", "00081155"])
        studies = find_values(model, ["00404021", "0020000D"]) or find_values(model, ["0020000D"])
        if not studies:
            return []
        if wanted:
            self._ledger.announce(studies[0], item.uid, CALLER, wanted, (), now)
        study = self._ledger.find_study(studies[0])
        if study is None or study.state != StudyState.COMPLETE:
            return []
        images = [one for one in self._ledger.find_instances(study.study_uid) if one.is_image]
        held = {one.sop_instance_uid for one in images}
        if set(wanted) - held or not images:
            return []
        series = {one.series_uid for one in images if not wanted or one.sop_instance_uid in set(wanted)}
        job = self._find_job(study, route, series) or self._make_job(study, route, series, images, item, now)
        # With the priority that the job has: where the workitem says another, the mirror has the job follow.
        self._worklist.put_link(Link(item.uid, job.id, generate_uid(), 1, str(PRIORITIES[job.priority]), False))
        log.info("workitem %s is job %s", item.uid, job.id)
        return [job.id]

    def _find_job(self, study: Study, route: Route, series: set[str]) -> Job | None:
        """The job of that pipeline that this study has already, and that reads these series."""
        jobs = self._ledger.find_jobs(study.study_uid)
        live = (job for job in jobs if job.pipeline == route.pipeline and job.state in LIVE and not job.superseded_by)
        return next((job for job in live if series <= set(job.series_uids)), None)

    def _make_job(
        self, study: Study, route: Route, series: set[str], images: list[Instance], item: Workitem, now: float
    ) -> Job:
        """The same workitem always makes the same job."""
        job = Job(
            id=derive_key("job", study.study_uid, str(study.version), f"workitem {item.uid}", route.pipeline),
            study_uid=study.study_uid,
            series_uids=tuple(sorted(series)),
            route=route.name,
            pipeline=route.pipeline,
            deliver=tuple(route.deliver),
            tell=tuple(route.tell),
            priority=URGENCY[find_priority(item)],
            lane=get_manifest(route.pipeline).lane,
            version=study.version,
            state=State.QUEUED,
            attempt=0,
            token="",
            lease_until=0.0,
            reason="",
            notes=(),
            created_at=now,
            late=Late.REPLACE,
            inputs=derive_key("workitem", *sorted(one.digest for one in images if one.series_uid in series)),
        )
        if study.reason == GATHERED:  # its images were fetched for this
            self._ledger.add_jobs(study, [job], now, SUBMITTED)
        else:
            self._ledger.add_job(job, CALLER.lower(), f"workitem {item.uid}")
        return self._ledger.get_job(job.id)


def find_priority(item: Workitem) -> str:
    """HIGH, MEDIUM or LOW."""
    return find_first(json.loads(item.model), "00741200")
