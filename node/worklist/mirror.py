"""Every job is a workitem: what the ledger says of a job its workitem says too, and what is asked of the workitem the
job obeys.

In:  lines of the ledger's history beyond a bookmark, jobs at work, workitems that others changed.   Out: workitems.
A crash anywhere leaves the bookmark behind, or a link that says less than is true: the step is done again and comes to
the same, since each looks at both sides first.
"""

import logging
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event

from pydicom import Dataset
from pydicom.uid import generate_uid

from node.config import Settings
from node.dicom.header import read_header
from node.errors import CannotUnderstand, LostLease, UnknownJob, WorkitemRefused
from node.ledger import Ledger
from node.model.job import FINAL, TRANSITIONS, Job, State
from node.model.study import Instance
from node.model.uid import derive_uid
from node.model.workitem import FINAL_STEPS, PUSH_CLASS, StepState, Workitem
from node.rounds import keep_going
from node.worklist import of_job
from node.worklist.links import Link
from node.worklist.pushed import Pushed
from node.worklist.rows import to_dataset
from node.worklist.worklist import Worklist
from pipelines.terms import get_manifest

log = logging.getLogger(__name__)

PAUSE = 0.5
"""Seconds between two rounds."""

AT_ONCE = 500
"""Lines of history in one round."""

CLEAR = 600.0
"""Seconds between two looks for workitems whose time is over."""

PATIENCE = 30.0
"""Seconds until a job is tried again that could not be followed, for a reason that nobody foresaw."""

UNFINISHED = [state for state in State if state not in FINAL]
STATION = "worklist"


class Mirror:
    """Follows one ledger. One process of a node runs it."""

    def __init__(self, settings: Settings, ledger: Ledger, worklist: Worklist) -> None:
        self._settings, self._ledger, self._worklist = settings, ledger, worklist
        self._pushed = Pushed(settings, ledger, worklist)
        self._again: dict[str, float] = {}
        self._cleared = 0.0
        self._is_new = True

    def run(self, stop: Event) -> None:
        """Rounds until `stop` is set."""
        keep_going("the worklist", self.tick, PAUSE, stop, lambda: (self._ledger.look(), self._worklist.look()))

    def tick(self, now: float) -> None:
        """One round at `now` (epoch seconds). Pushed workitems come first: a job that was made for one is not taken
        for a job that has none."""
        taken = []
        if self._is_new:
            self._worklist.announce_restart(now)
            self._is_new = False
            taken = [link.job_id for link in self._worklist.find_open_links()]
        taken += self._pushed.tick(now)  # of a job that has ended there is no history to come
        self._follow_history(now)
        busy = [job.id for job in self._ledger.find_jobs(states=[State.CLAIMED])]
        stirred = [link.job_id for link in self._worklist.find_stirred()]
        due = [job_id for job_id, at in self._again.items() if not now < at <= now + PATIENCE]
        for job_id in dict.fromkeys([*taken, *busy, *stirred, *due]):
            self._try(job_id, now)
        if abs(now - self._cleared) > CLEAR:
            self._cleared = now
            self._worklist.delete_final(now)

    def _follow_history(self, now: float) -> None:
        bookmark = self._worklist.find_bookmark()
        if bookmark is None:  # of what ended before there was a worklist nothing is said
            newest = self._ledger.find_newest_change()
            ids = [job.id for job in self._ledger.find_jobs(states=UNFINISHED)]
        else:
            changes = self._ledger.find_changes(bookmark, AT_ONCE)
            newest = changes[-1][0] if changes else bookmark
            ids = [job_id for _, job_id in changes]
        for job_id in dict.fromkeys(ids):
            self._try(job_id, now)
        if newest != bookmark:
            self._worklist.put_bookmark(newest)

    def _try(self, job_id: str, now: float) -> None:
        self._again.pop(job_id, None)
        try:
            self._follow(self._ledger.get_job(job_id), now)
        except UnknownJob:
            log.warning("a workitem speaks of job %s, which the ledger does not know", job_id)
        except Exception:
            log.exception("the workitem of job %s cannot follow; it is tried again in %.0f s", job_id, PATIENCE)
            self._again[job_id] = now + PATIENCE

    def _follow(self, job: Job, now: float) -> None:
        links = self._worklist.find_links(job.id) or [self._create(job, 1, now)]
        for link in links:
            try:
                self._follow_one(job, link, now)
            except WorkitemRefused as refusal:
                log.warning("job %s and %s", job.id, refusal)
                self._worklist.remove_link(link) if refusal.http == 410 else self._put(link, is_ended=True)

    def _follow_one(self, job: Job, link: Link, now: float) -> None:
        item = self._worklist.get(link.workitem_uid)
        if item.state in FINAL_STEPS:
            self._follow_end(job, link, now)
            return
        if link.is_ended and job.state not in FINAL:
            link = self._put(link, is_ended=False)
        job = self._obey(job, link, item, now)
        if item.state == StepState.SCHEDULED:
            if job.state == State.QUEUED:
                return
            self._worklist.change_state(link.workitem_uid, StepState.IN_PROGRESS, link.lock, now)
        if job.state in FINAL:
            self._finish(job, link, item, now)
        else:
            self._tell(job, link, item, now)

    def _follow_end(self, job: Job, link: Link, now: float) -> None:
        """Of a workitem that has ended: by us, or because somebody asked for it."""
        if not link.is_ended:
            self._cancel(job, "the workitem was canceled", now)
            self._put(link, is_ended=True)
        elif job.state in {State.QUEUED, State.CLAIMED}:  # an operator runs it again
            again = self._create(job, link.turn + 1, now, link.workitem_uid)
            self._follow_one(job, again, now)

    def _obey(self, job: Job, link: Link, item: Workitem, now: float) -> Job:
        """What others asked of the workitem the job does; a priority that an operator gave the job the workitem has."""
        workitem = to_dataset(item.model)
        wanted, ours = str(workitem.ScheduledProcedureStepPriority), str(of_job.PRIORITIES[job.priority])
        if any(one.workitem_uid == link.workitem_uid for one in self._worklist.find_stirred()):
            if item.state == StepState.IN_PROGRESS:
                self._cancel(job, "a request by the worklist", now)
                self._worklist.forget_request(link.workitem_uid)
            elif wanted != link.priority:
                with suppress(LostLease):
                    why = f"{wanted} in workitem {link.workitem_uid}"
                    self._ledger.set_priority(job, of_job.URGENCY[wanted], now, STATION, why)
                self._put(link, priority=wanted)
            return self._ledger.get_job(job.id)
        if item.state == StepState.SCHEDULED and ours != link.priority:
            self._put(link, priority=ours)
            changes = Dataset()
            changes.ScheduledProcedureStepPriority = ours
            self._worklist.update(link.workitem_uid, changes, now)
        return job

    def _cancel(self, job: Job, text: str, now: float) -> None:
        if State.CANCELED in TRANSITIONS[job.state]:
            with suppress(LostLease):
                self._ledger.move_job(job, State.CANCELED, now, STATION, text)

    def _create(self, job: Job, turn: int, now: float, instead_of: str = "") -> Link:
        """The workitem of a job, at its first run or at a later one."""
        uid = derive_uid("workitem", job.id, str(turn))
        workitem = of_job.plan(job, self._find_title(job), self._settings.node.ae_title, *self._read_inputs(job))
        if instead_of:
            replaced = Dataset()
            replaced.ReferencedSOPClassUID, replaced.ReferencedSOPInstanceUID = PUSH_CLASS, instead_of
            workitem.ReplacedProcedureStepSequence = [replaced]
        try:
            self._worklist.create(workitem, now, uid)
        except WorkitemRefused as refusal:
            if refusal.status != 0x0111:  # it was made before a crash
                raise
        link = Link(uid, job.id, generate_uid(), turn, workitem.ScheduledProcedureStepPriority, False)
        self._worklist.put_link(link, instead_of)
        return link

    def _tell(self, job: Job, link: Link, item: Workitem, now: float) -> None:
        """Progress, where there is some."""
        progress = of_job.state_progress(job)
        present = to_dataset(item.model).get("ProcedureStepProgressInformationSequence")
        if present != progress.ProcedureStepProgressInformationSequence:
            self._worklist.update(link.workitem_uid, progress, now, link.lock)

    def _finish(self, job: Job, link: Link, item: Workitem, now: float) -> None:
        """Outputs and reasons first, then the final state; the link says before that it was us."""
        self._put(link, is_ended=True)
        titles = {name: peer.ae_title or "" for name, peer in self._settings.peers.items()}
        deliveries, objects = self._ledger.find_deliveries(job.id), self._ledger.find_objects(job.id)
        outputs = of_job.refer_to_outputs(job.study_uid, deliveries, objects, titles)
        history = self._ledger.find_history(job.id)
        code = next(iter(to_dataset(item.model).get("ScheduledWorkitemCodeSequence") or ()), None)
        title, station = self._find_title(job), self._settings.node.ae_title
        end = of_job.state_end(job, title, station, history, outputs, code)
        self._worklist.update(link.workitem_uid, end, now, link.lock)
        state = StepState.COMPLETED if job.state == State.CONFIRMED else StepState.CANCELED
        self._worklist.change_state(link.workitem_uid, state, link.lock, now)

    def _put(self, link: Link, **changes: str | bool) -> Link:
        changed = replace(link, **changes)  # type: ignore[arg-type]
        self._worklist.put_link(changed)
        return changed

    def _find_title(self, job: Job) -> str:
        try:
            return get_manifest(job.pipeline).title
        except (KeyError, ValueError):  # the pipeline is not installed any more
            return job.pipeline

    def _read_inputs(self, job: Job) -> tuple[Dataset, list[Instance]]:
        """(a header, empty where none can be read; its images)"""
        images = [one for one in self._ledger.find_instances(job.study_uid, job.series_uids) if one.is_image]
        for one in images[:1]:
            with suppress(CannotUnderstand, OSError):
                return read_header(Path(self._settings.spool) / one.path), images
        return Dataset(), images
