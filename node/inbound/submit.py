"""A study that somebody names is fetched from a peer and read by the route or pipeline that is named with it.

In:  submissions in the ledger.   Out: the study in the spool, and its jobs, or why there are none.
What is asked for is in the ledger before the request leaves, so what comes opens no jobs but those that were asked for.
A crash leaves the submission as it was: it is asked for again, and what came already is not fetched twice.
"""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread

from node.config import Settings
from node.errors import OutOfResources, PeerRefused, PeerUnreachable, WetreadError
from node.inbound.assemble import DOUBT
from node.inbound.fetch import Fetcher, is_own
from node.inbound.gather import with_gathering
from node.inbound.late import settle_late
from node.inbound.match import digest_series, match_study, read_samples
from node.inbound.side_door import SideDoor
from node.inbound.spool import Spool
from node.ledger import Ledger
from node.ledger.gathering import SUBMITTED
from node.model.archive import Archive
from node.model.expectation import Expectation, Kind
from node.model.job import Job, State
from node.model.study import Study, StudyState
from node.model.submission import Submission, SubmissionState
from node.model.uid import derive_key
from node.rounds import keep_going
from node.route_order import find_needed
from node.sections import Route

log = logging.getLogger(__name__)

TICK = 0.25
AGAIN = 5.0
"""Seconds until a peer that did not answer is asked again."""

LOOK = 0.5
"""Seconds between two looks at whether a study is closed."""

LINGER = 3600.0
"""Seconds for which a peer that ran out of time may still bring what it was asked for."""

GRACE = 2.0
"""The same of a peer that said it is done, or that it will not."""

GOODBYE = 5.0
ASKED, FETCHED, MADE, REFUSED = SubmissionState


def make_submission(study_uid: str, peer: str, route: str, pipeline: str, at: float) -> Submission:
    """The same study, peer, and route or pipeline always make the same id."""
    key = derive_key("submission", study_uid, peer, route, pipeline)
    return Submission(key, study_uid, peer, route, pipeline, ASKED, at, at, f"{peer} will be asked for its images")


class Submitter:
    """Serves all submissions, of each peer one at a time."""

    def __init__(
        self, settings: Settings, ledger: Ledger, spool: Spool, open_archive: Callable[[str], Archive]
    ) -> None:
        self._settings = settings
        self._ledger = ledger
        self._door = SideDoor(spool, ledger, settings.listen.inflate_ratio, "submit")
        self._open_archive = open_archive
        self._lock = Lock()
        self._under_way: dict[str, Thread] = {}

    def run(self, stop: Event) -> None:
        """Ticks until `stop` is set."""
        self._door.start()
        keep_going("submissions", self.tick, TICK, stop, self._ledger.look)
        patience = time.monotonic() + GOODBYE
        for thread in self._find_threads():
            thread.join(max(patience - time.monotonic(), 0.0))
        self._door.stop()

    def tick(self, now: float) -> bool:
        """Begins with the oldest of each peer that nobody is asked for, and makes the jobs of what was fetched; True
        while somebody is asked."""
        for one in self._ledger.find_submissions(due=now):
            if one.state == FETCHED:
                self._make_jobs(one, now)
                continue
            with self._lock:
                if one.peer not in self._under_way:
                    self._under_way[one.peer] = Thread(target=self._serve, args=(one,), name="submit", daemon=True)
                    self._under_way[one.peer].start()
        return bool(self._find_threads())

    def _find_threads(self) -> list[Thread]:
        with self._lock:
            return list(self._under_way.values())

    def _serve(self, one: Submission) -> None:
        try:
            self._fetch(one)
        except Exception:
            log.exception("submission %s stumbled; it is tried again in %.0f s", one.id, AGAIN)
            self._ledger.move_submission(one, ASKED, "stumbled; it is tried again", time.time() + AGAIN)
        finally:
            with self._lock:
                del self._under_way[one.peer]

    def _fetch(self, one: Submission) -> None:
        left = one.asked_at + self._settings.completeness.give_up.total_seconds() - time.time()
        until = time.monotonic() + left
        peer = self._settings.peers.get(one.peer)
        if peer is None or not peer.query:
            self._refuse(one, f"{one.peer} is no peer with query = true any more")
            return
        archive, fetcher = self._open_archive(one.peer), Fetcher(self._ledger, self._door, until)
        ours = not is_own(self._ledger, one.study_uid)
        if ours:
            title, now = archive.title or archive.name[:16], time.time()
            self._ledger.add_asking(one.study_uid, one.id, title, now, now + max(left, 0.0) + LINGER)
        try:
            number, lacking = fetcher.fetch_study(archive, one.study_uid)
        except PeerRefused as refusal:
            self._refuse(one, str(refusal))
        except (PeerUnreachable, OutOfResources) as trouble:
            self._put_off(one, str(trouble), until)
        else:
            self._settle(one, number, lacking, ours=ours)

    def _settle(self, one: Submission, number: int, lacking: int, *, ours: bool) -> None:
        now = time.time()
        if not number or lacking == number:
            self._refuse(
                one, f"{one.peer} has no images of this study" if not number else f"{one.peer} sent none of it"
            )
            return
        told = f"{number - lacking} of {number} images of {one.peer} are here" + (f"; {DOUBT}" if lacking else "")
        self._ledger.end_asking(one.study_uid, one.id, now + GRACE)
        if ours and not lacking:  # the peer listed all that it has: nothing is to be waited for
            self._ledger.put_expectation(Expectation(one.study_uid, Kind.OPERATOR, "", now))
        self._ledger.move_submission(one, FETCHED, told, now)

    def _make_jobs(self, one: Submission, now: float) -> None:
        study = self._ledger.find_study(one.study_uid)
        if study is None or study.state == StudyState.RECEIVING:
            self._ledger.move_submission(one, FETCHED, one.answer, now + LOOK)
            return
        try:
            jobs, named, reason = self._match(one, study, now)
        except (WetreadError, ValueError) as error:
            self._refuse(one, str(error))
            return
        if not named:
            self._refuse(one, reason)
        elif self._ledger.add_jobs(study, jobs, now, SUBMITTED):
            self._ledger.move_submission(one, MADE, one.answer, 0.0, named)
            log.info("study %s was submitted: job %s", one.study_uid, named[-1])

    def _match(self, one: Submission, study: Study, now: float) -> tuple[list[Job], list[str], str]:
        """(jobs to make, ids of all that answer it, why there are none)."""
        routes = find_routes(one, self._settings)
        instances = self._ledger.find_instances(study.study_uid)
        samples = read_samples(instances, Path(self._settings.spool))
        rules = self._settings.model_copy(update={"routes": routes})
        jobs, reason = match_study(study, samples, set(), rules, now, one.answer, digest_series(instances))
        if not jobs or jobs[-1].route != routes[-1].name:
            return [], [], reason or f"no series is as route {routes[-1].name!r} wants it"
        held = {job.id: job for job in self._ledger.find_jobs(study.study_uid)}
        settled = settle_late([job for job in jobs if job.id not in held], list(held.values()))
        ids = [job.id for job in jobs if job.id in held] + list(settled.remarks) + [job.id for job in settled.jobs]
        routes_of = {job.id: job.route for job in [*held.values(), *settled.jobs]}
        ids.sort(key=lambda job_id: routes_of[job_id] == routes[-1].name)
        answer = held.get(ids[-1]) if ids else None
        if answer is not None and answer.state == State.CANCELED:
            why = f"its job {answer.id} was canceled; one is made of other images, or by a route of another name"
            return [], [], why
        return [with_gathering(job, self._settings) for job in settled.jobs], ids, ""

    def _put_off(self, one: Submission, why: str, until: float) -> None:
        if time.monotonic() + AGAIN > until:
            self._refuse(one, f"given up: {why}")
        else:
            self._ledger.move_submission(one, ASKED, why, time.time() + AGAIN)

    def _refuse(self, one: Submission, why: str) -> None:
        self._ledger.end_asking(one.study_uid, one.id, time.time() + GRACE)
        log.warning("study %s was submitted, and is not read: %s", one.study_uid, why)
        self._ledger.move_submission(one, REFUSED, why, 0.0)


def find_routes(one: Submission, settings: Settings) -> list[Route]:
    """The route that is named, behind those that it comes after, whoever sends; or one for the pipeline alone, whose
    results stay here. Raises ValueError when the route is not there any more."""
    if one.pipeline:
        return [Route(name=f"submitted: {one.pipeline}", pipeline=one.pipeline)]
    named = next((route for route in settings.routes if route.name == one.route), None)
    if named is None:
        raise ValueError(f"there is no route {one.route!r} any more")
    chain = [named]
    for route in chain:
        chain += [before for before in find_needed(route, settings.routes) if before not in chain]
    return [route.model_copy(update={"sources": []}) for route in reversed(chain)]
