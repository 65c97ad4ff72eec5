"""A complete study becomes jobs: the row in the ledger first, the doorbell after.

In:  a study that is RECEIVING.   Out: the study COMPLETE, its jobs QUEUED, their bells rung.
A crash before the row leaves the study RECEIVING and it is judged again; a crash before the bell leaves a QUEUED job
whose bell housekeeping rings.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from node.config import Settings
from node.dicom.header import read_header
from node.errors import CannotUnderstand, IncompleteStudy
from node.inbound.assemble import Arrival, Judgment, Verdict, judge_study
from node.inbound.expected import Expected, Word
from node.inbound.gather import is_gathered, with_gathering
from node.inbound.late import Settled, settle_late
from node.inbound.match import digest_series, match_study, read_samples
from node.inbound.ordered import Ordered, OrderWait, add_orders, with_order
from node.ledger import Ledger
from node.ledger.gathering import GATHERED
from node.model.job import Gathering, Job, State
from node.model.study import Study, StudyState
from node.orders.book import OrderBook
from node.queue import Doorbell
from node.sections import OnGiveUp
from node.security.patient_key import PatientKeys

log = logging.getLogger(__name__)


SILENCE = 5.0
"""Seconds for which a broker that did not answer is not rung again: each try may take two."""

PAUSE = 30.0
"""Seconds until a study that could not be judged, for a reason that nobody foresaw, is judged again."""


class Enqueuer:
    """Closes complete studies and rings for their jobs."""

    def __init__(self, settings: Settings, ledger: Ledger, bell: Doorbell) -> None:
        self._settings = settings
        self._ledger = ledger
        self._bell = bell
        self._book = OrderBook(settings.order_book)
        self._expected = Expected(settings, ledger, self._book)
        self._order_wait = OrderWait(settings)
        self._patients = PatientKeys(settings.node.home)
        self._not_before: dict[str, float] = {}
        self._silent_until = 0.0
        self.awaits_quiet = False
        """Whether the last look found a study whose quiet period was not over: only the clock tells when it is."""

    def close_complete(self, now: float, is_now: Callable[[], bool] = lambda: True) -> int:
        """Judges every study that is RECEIVING; returns how many were closed. One that cannot be stops nobody.
        is_now: False once the clock was set after `now` was read: then nothing is judged by it any more."""
        word = self._expected.read_word()
        self._not_before = {uid: at for uid, at in self._not_before.items() if at > now}
        studies = self._ledger.find_studies(StudyState.RECEIVING)
        quiet = self._settings.completeness.quiet.total_seconds()
        self.awaits_quiet = any(now - study.last_at <= quiet for study in studies)
        due = [study for study in studies if study.study_uid not in self._not_before]
        return sum(self._try_to_close(study, word, now, is_now) for study in due)

    def move_clock(self, by: float) -> None:
        """The system clock was set by `by` seconds: what waits in memory waits as long as it was to."""
        self._not_before = {uid: at + by for uid, at in self._not_before.items()}
        self._order_wait.move_clock(by)

    def ring(self, jobs: list[Job]) -> bool:
        """Rings in the lanes of `jobs` and remembers it; False when the broker is away: housekeeping tries again, and
        nobody waits for the broker's silence more often than once in SILENCE seconds."""
        if not jobs:
            return True
        lanes, now = {job.lane for job in jobs}, time.time()
        if time.monotonic() < self._silent_until:
            return False
        try:
            self._bell.ring({lane: count for lane, count in self._ledger.count_free(now).items() if lane in lanes})
        except (OSError, OperationalError, RedisError) as error:
            log.warning("the broker is away, %d wake-ups wait: %s", len(jobs), type(error).__name__)
            self._silent_until = time.monotonic() + SILENCE
            return False
        self._ledger.mark_rung([job.id for job in jobs], now)
        return True

    def _try_to_close(self, study: Study, word: Word, now: float, is_now: Callable[[], bool]) -> bool:
        try:
            return self._close(study, word, now, is_now)
        except Exception:
            log.exception("study %s could not be judged; it is tried again in %.0f s", study.study_uid, PAUSE)
            self._not_before[study.study_uid] = now + PAUSE
            return False

    def _close(self, study: Study, word: Word, now: float, is_now: Callable[[], bool]) -> bool:
        arrivals = [Arrival(*row) for row in self._ledger.find_associations(study.study_uid)]
        judgment = self._judge(study, arrivals, word, now)
        if not is_now():
            return False
        if judgment.verdict == Verdict.WAIT:
            if judgment.text != study.waits:
                self._ledger.note_wait(study, judgment.text)
            return False
        evidence, ordered = judgment.text, Ordered()
        if self._is_gathered(study, arrivals):
            jobs, reason = list[Job](), GATHERED
        else:
            evidence += self._order_wait.describe(word.get(study.study_uid, ()))
            jobs, reason, ordered = self._match(study, {arrival.caller for arrival in arrivals}, now, evidence)
        late = self._settle_late(study, jobs)
        jobs, reason = late.jobs, reason or late.reason
        if judgment.verdict == Verdict.GAVE_UP and self._settings.completeness.on_give_up == OnGiveUp.FAIL:
            jobs = [replace(job, state=State.FAILED, reason=f"{IncompleteStudy.__name__}: {evidence}") for job in jobs]
        fresh = self._find_fresh(study, jobs)
        jobs = [with_gathering(with_order(job, ordered, self._settings), self._settings) for job in fresh]
        for job in jobs:
            self._book.assign(job.id, ordered.find(job.series_uids), now)
        patient = self._find_patient(study)
        if not self._ledger.close_study(study, now, evidence, reason, jobs, late.remarks, patient):
            return False
        self._expected.forget(study)
        self._order_wait.forget(study)
        log.info("study %s %s; %s", study.study_uid, evidence, reason or f"{len(jobs)} jobs")
        self.ring([job for job in jobs if job.state == State.QUEUED and is_due(job, now)])
        return True

    def _is_gathered(self, study: Study, arrivals: Sequence[Arrival]) -> bool:
        askings = self._ledger.find_askings(study.study_uid)
        asked = {caller for caller, _, _ in askings}
        others = {peer.ae_title for peer in self._settings.peers.values() if peer.ae_title} - asked
        return is_gathered(askings, arrivals, others)

    def _judge(self, study: Study, arrivals: Sequence[Arrival], word: Word, now: float) -> Judgment:
        """Headers are read for what the routes expect only when nothing else keeps the study open; what was ordered is
        waited for before, since routes may ask for it."""
        rules = self._settings.completeness
        claims = self._expected.find_claims(study, arrivals, word, now)
        judgment = judge_study(study, arrivals, claims, rules, now)
        if judgment.verdict == Verdict.WAIT:
            return judgment
        waits = self._order_wait.find_reason(study, word.get(study.study_uid, ()), now)
        if waits and not self._is_gathered(study, arrivals):
            return Judgment(Verdict.WAIT, waits)
        missing = self._expected.find_missing_series(study, {arrival.caller for arrival in arrivals})
        judgment = judge_study(study, arrivals, [*claims, *missing], rules, now) if missing else judgment
        if judgment.verdict == Verdict.GAVE_UP and rules.on_give_up == OnGiveUp.ASK:
            hint = f"`wetread complete {study.study_uid}` closes it as it is"
            return Judgment(Verdict.WAIT, f"gave up waiting: {judgment.why}; {hint}")
        return judgment

    def _settle_late(self, study: Study, jobs: list[Job]) -> Settled:
        if study.version == 1:
            return settle_late(jobs, [])
        held, present = self._ledger.find_digests(study.study_uid), self._ledger.find_instances(study.study_uid)
        return settle_late(jobs, self._ledger.find_jobs(study.study_uid), has_gone=len(present) < len(held))

    def _find_patient(self, study: Study) -> str:
        """The key by which people find what is of its patient; "" when no image says who it is."""
        for instance in self._ledger.find_instances(study.study_uid):
            with suppress(CannotUnderstand, OSError):
                return self._patients.derive(
                    str(read_header(self._settings.spool / instance.path).get("PatientID") or "")
                )
        return ""

    def _find_fresh(self, study: Study, jobs: Sequence[Job]) -> list[Job]:
        """Without those that an operator had made before, of a study that was fetched and is sent now."""
        held = {job.id for job in self._ledger.find_jobs(study.study_uid)} if jobs else set()
        return [job for job in jobs if job.id not in held]

    def _match(self, study: Study, callers: set[str], now: float, evidence: str) -> tuple[list[Job], str, Ordered]:
        try:
            instances = self._ledger.find_instances(study.study_uid)
            samples = read_samples(instances, Path(self._settings.spool))
        except CannotUnderstand as error:
            return [], f"the study cannot be read back: {error}", Ordered()
        ordered = add_orders(samples, self._book)
        digests = digest_series(instances)
        return *match_study(study, samples, callers, self._settings, now, evidence, digests), ordered


def is_due(job: Job, now: float) -> bool:
    """True when a worker may claim it at once."""
    return not job.after and job.not_before <= now and job.gathering != Gathering.ASKING
