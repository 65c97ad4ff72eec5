"""What a pipeline still needs is fetched before its job may run: priors, and images that the study lacks.

In:  jobs that are QUEUED and wait (`Gathering.ASKING`).   Out: the same jobs ready, with their priors and what to say.
Priors open no jobs of their own. A crash leaves the jobs waiting; at the next start they are gathered for again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Event, Lock, Thread

from node.config import Settings
from node.inbound.assemble import DOUBT, Arrival
from node.inbound.errand import Errand, Found
from node.inbound.side_door import SideDoor
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.ledger.gathering import NEVER
from node.model.archive import Archive
from node.model.job import Gathering, Job, State
from node.model.study import StudyState
from node.rounds import keep_going
from node.sections import Gather

log = logging.getLogger(__name__)

TICK = 0.25
AT_ONCE = 4
"""Studies gathered for at once, of all peers together: an archive is somebody's daily bread."""

PAUSE = 30.0
"""Seconds until a study is gathered for again when not even the reason could be written down, as on a full disk."""

REOPEN = 5.0
"""Seconds between two looks for gathered studies that were sent for their own sake."""

GOODBYE = 5.0
"""Seconds for which what is under way may still end when the role ends."""

SLACK = 60.0
"""Seconds after which a job runs though nobody gathered for it: the role that does may be down."""

GROWING = 3.0
"""Seconds until a study of which more images arrive is looked at again: meanwhile others are gathered for."""


def with_gathering(job: Job, settings: Settings) -> Job:
    """A new job as it waits for what its route gathers, or as it is when there is nothing to gather. One that is FAILED
    from the first has what it wants MISSING: it asks when an operator queues it."""
    rules = find_rules(job, settings)
    if rules is None or not (rules.priors or _is_doubtful(job, rules)):
        return job
    # Images that were missing make the next version of the study, which is given the time to arrive.
    wait = rules.wait.total_seconds() * (2 if rules.missing else 1)
    ready_at = NEVER if rules.required else job.created_at + wait + SLACK
    gathering = Gathering.MISSING if job.state == State.FAILED else Gathering.ASKING
    return replace(job, gathering=gathering, ready_at=ready_at)


def find_rules(job: Job, settings: Settings) -> Gather | None:
    """What the route of `job` gathers."""
    return next((route.gather for route in settings.routes if route.name == job.route), None)


def is_gathered(askings: Sequence[tuple[str, float, float]], arrivals: Sequence[Arrival], others: set[str]) -> bool:
    """True when all that came of a study since it was last asked for came as the answer.

    askings: see Ledger.find_askings. others: AE titles of all peers but those that were asked. The answer comes while
    it is asked for, from any caller that is no other peer: many archives send under another title than they answer by.
    """
    if not askings:
        return False
    last = max(asked_at for _, asked_at, _ in askings)
    fresh = [one for one in arrivals if one.ended_at is None or one.ended_at >= last]
    return all(one.caller not in others and any(one.opened_at <= until for _, _, until in askings) for one in fresh)


class Gatherer:
    """Serves all jobs that wait, some studies at a time."""

    def __init__(
        self, settings: Settings, ledger: Ledger, spool: Spool, open_archive: Callable[[str], Archive]
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._door = SideDoor(spool, ledger, settings.listen.inflate_ratio)
        self._open_archive = open_archive
        self._lock = Lock()
        self._under_way: dict[str, Thread] = {}
        self._not_before: dict[str, float] = {}
        self._started = time.time()
        self._looked = 0.0

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        self._started = time.time()
        self._door.start()
        keep_going("gathering", self.tick, TICK, stop, self._ledger.look)
        # Who waits for a silent archive is not waited for: the next start sends out again.
        patience = time.monotonic() + GOODBYE
        for thread in self._find_threads():
            thread.join(max(patience - time.monotonic(), 0.0))
        self._door.stop()

    def tick(self, now: float) -> bool:
        """Begins with every study whose jobs wait and that is not under way; True while some are."""
        if abs(now - self._looked) > REOPEN:
            self._looked = now
            for uid in self._ledger.reopen_sent():
                log.info("study %s was gathered before and is sent for its own sake now", uid)
        waiting: dict[str, list[tuple[str, float]]] = {}
        for job_id, study_uid, since in self._ledger.find_waiting():
            waiting.setdefault(study_uid, []).append((job_id, since))
        with self._lock:
            self._not_before = {uid: at for uid, at in self._not_before.items() if now < at <= now + PAUSE}
            fresh = [uid for uid in waiting if uid not in self._under_way and uid not in self._not_before]
            for uid in fresh[: AT_ONCE - len(self._under_way)]:
                thread = Thread(target=self._serve, args=(uid, waiting[uid]), name="gather", daemon=True)
                self._under_way[uid] = thread
                thread.start()
            return bool(self._under_way)

    def _find_threads(self) -> list[Thread]:
        with self._lock:
            return list(self._under_way.values())

    def _serve(self, study_uid: str, waiting: Sequence[tuple[str, float]]) -> None:
        try:
            for job_id, since in waiting:
                self._gather(self._ledger.get_job(job_id), since)
        except Exception:
            log.exception("gathering for study %s stumbled; it is tried again in %.0f s", study_uid, PAUSE)
            self._put_off(study_uid, PAUSE)
        finally:
            with self._lock:
                del self._under_way[study_uid]

    def _put_off(self, study_uid: str, seconds: float) -> None:
        with self._lock:
            self._not_before[study_uid] = time.time() + seconds

    def _gather(self, job: Job, since: float) -> None:
        began = time.time()
        rules = find_rules(job, self._settings)
        if rules is None:
            self._settle(job, None, Found(notes=["the route gathers nothing any more"]), began)
            return
        if self._is_growing(job):
            self._put_off(job.study_uid, GROWING)
            return
        # Who waited while this role was down is given his whole time.
        until = rules.wait.total_seconds() + (since if since >= self._started else began)
        if until <= began:
            text = f"no prior sought: other jobs were gathered for during all of {rules.wait.total_seconds():.0f} s"
            self._settle(job, rules, Found(notes=[text]), began)
            return
        try:
            found = self._send_out(job, rules, time.monotonic() + until - began)
        except Exception as error:
            log.exception("gathering for job %s stumbled", job.id)
            found = Found(notes=[f"no prior: gathering stumbled ({type(error).__name__})"])
        if found is not None:
            self._settle(job, rules, found, began)

    def _is_growing(self, job: Job) -> bool:
        """True while more images of its study arrive."""
        study = self._ledger.find_study(job.study_uid)
        return study is not None and study.version > job.version and study.state == StudyState.RECEIVING

    def _send_out(self, job: Job, rules: Gather, until: float) -> Found | None:
        """None when images came that were missing: a job of the study's next version takes its place."""
        errand = Errand(job, rules, self._settings, self._ledger, self._door, until)
        archives = [self._open_archive(name) for name in rules.sources]
        notes: list[str] = []
        if _is_doubtful(job, rules):
            came, notes = errand.fetch_missing(archives)
            if came:
                log.info("job %s: %s; the study is judged again", job.id, "; ".join(notes))
                return None
        found = errand.find_priors(archives) if rules.priors else Found()
        return Found(found.study_uids, [*notes, *found.notes])

    def _settle(self, job: Job, rules: Gather | None, found: Found, began: float) -> None:
        missing = rules is not None and rules.required and not found.study_uids
        to = Gathering.MISSING if missing else Gathering.DONE
        now = time.time()
        if self._ledger.settle_gathering(job, to, found.study_uids, found.notes, now, now - began):
            log.info("job %s: %s", job.id, "; ".join(found.notes) or "nothing gathered")


def _is_doubtful(job: Job, rules: Gather) -> bool:
    return rules.missing and any(DOUBT in note for note in job.notes)
